// The pictures of the current query, page after page.
import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useMemo, useState } from 'react';
import { AwayError } from '../api/errors';
import type { ImageDocument } from '../api/types';
import { pendingDeletes } from '../deletion/pending';
import { useStore } from '../lib/store';
import { formatView, type Query } from '../query/view';
import { FIRST_PAGE, fetchPage, type Page, type PageStart } from './pages';

export const IMAGES_KEY = 'images';

export interface Results {
  images: readonly ImageDocument[];
  total: number | null;
  /** Nothing has been shown yet. */
  isFirstLoad: boolean;
  /** What is shown belongs to the query before. */
  isOld: boolean;
  isLoadingMore: boolean;
  hasMore: boolean;
  loadMore: () => void;
  error: Error | null;
}

export function useResults(query: Query): Results {
  const answer = useInfiniteQuery({
    queryKey: [IMAGES_KEY, formatView({ query, image: null })],
    queryFn: ({ pageParam, signal }) => fetchPage(query, pageParam, signal),
    initialPageParam: FIRST_PAGE,
    getNextPageParam: (last: Page): PageStart | null => last.next,
    placeholderData: keepPreviousData,
  });
  const pending = useStore(pendingDeletes);
  // A server that is away is no reason to take away what was there.
  const [last, setLast] = useState(answer.data);
  if (answer.data !== undefined && answer.data !== last) setLast(answer.data);
  const isKept = answer.data === undefined && answer.error instanceof AwayError;
  const shown = answer.data ?? (isKept ? last : undefined);
  const pages = shown?.pages;
  const images = useMemo(() => unique(pages ?? [], pending), [pages, pending]);
  return {
    images,
    total: pages?.[0]?.total ?? null,
    isFirstLoad: shown === undefined,
    isOld: answer.isPlaceholderData || isKept,
    isLoadingMore: answer.isFetchingNextPage,
    hasMore: answer.hasNextPage,
    loadMore: () => {
      if (answer.hasNextPage && !answer.isFetching) void answer.fetchNextPage();
    },
    error: answer.error,
  };
}

/** While images are added or deleted a picture may come on two pages. */
function unique(pages: readonly Page[], hidden: ReadonlySet<string>): ImageDocument[] {
  const seen = new Set(hidden);
  const images = [];
  for (const image of pages.flatMap((page) => page.images)) {
    if (seen.has(image.image_id)) continue;
    seen.add(image.image_id);
    images.push(image);
  }
  return images;
}
