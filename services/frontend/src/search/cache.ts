// Keeping what is shown in step with changes made here or elsewhere.
import { QueryCache, QueryClient, type InfiniteData } from '@tanstack/react-query';
import { AwayError } from '../api/errors';
import type { ImageDocument } from '../api/types';
import { found, lost, onReturn } from '../connection/connection';
import type { Page } from './pages';
import { IMAGES_KEY } from './useResults';

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      if (error instanceof AwayError) lost();
    },
    onSuccess: found,
  }),
  defaultOptions: {
    queries: {
      // The connection does the waiting for a server that is away; other errors don't go away by themselves.
      retry: false,
      staleTime: 30_000,
      // An old answer is better than none, and the connection knows better than the browser.
      networkMode: 'always',
    },
  },
});

onReturn(() => void queryClient.refetchQueries({ type: 'active' }));

/** Asks again for what is shown, from its first page. */
export function refreshImages(): void {
  queryClient.setQueriesData<InfiniteData<Page>>({ queryKey: [IMAGES_KEY] }, (data) =>
    data === undefined ? data : { pages: data.pages.slice(0, 1), pageParams: data.pageParams.slice(0, 1) },
  );
  void queryClient.invalidateQueries({ queryKey: [IMAGES_KEY] });
}

export function replaceImage(changed: ImageDocument): void {
  mapPages((images) =>
    images.map((image) => (image.image_id === changed.image_id ? { ...image, ...stripped(changed) } : image)),
  );
  queryClient.setQueryData(['image', changed.image_id], changed);
}

export function removeImage(imageId: string): void {
  mapPages((images) => images.filter((image) => image.image_id !== imageId));
  queryClient.removeQueries({ queryKey: ['image', imageId] });
  void queryClient.invalidateQueries({ queryKey: ['similar'] });
}

/** Metadata that a patch removed is absent from the answer; it must not shine through from before. */
function stripped(image: ImageDocument): Partial<ImageDocument> {
  return { tags: [], caption: undefined, ...image } as Partial<ImageDocument>;
}

function mapPages(change: (images: ImageDocument[]) => ImageDocument[]): void {
  queryClient.setQueriesData<InfiniteData<Page>>({ queryKey: [IMAGES_KEY] }, (data) =>
    data === undefined
      ? data
      : { ...data, pages: data.pages.map((page) => ({ ...page, images: change(page.images) })) },
  );
}
