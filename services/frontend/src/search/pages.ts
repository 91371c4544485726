// Pages of pictures for a query, from whichever endpoint answers it.
import { listImages, searchByExample, searchByText, similarTo } from '../api/endpoints';
import type { ImageDocument } from '../api/types';
import { filterExpression } from '../query/filters';
import type { Query } from '../query/view';
import { queryPicture } from './pictures';

export type PageStart = { offset: number } | { cursor: string };

export interface Page {
  images: ImageDocument[];
  /** Where the next page begins; null when this is the last. */
  next: PageStart | null;
  /** How many pictures there are in all; a search ranks them all and doesn't say. */
  total: number | null;
}

export const FIRST_PAGE: PageStart = { offset: 0 };

const PAGE_SIZE = 100;
/** Offset and limit of a search together can't pass this. */
export const SEARCH_WINDOW = 16_384;

export function isSearch(query: Query): boolean {
  return query.text.trim() !== '' || query.like !== null;
}

export async function fetchPage(query: Query, start: PageStart, signal: AbortSignal): Promise<Page> {
  const filter = filterExpression(query.filters, new Date());
  if (isSearch(query)) return searchPage(query, filter, 'offset' in start ? start.offset : 0, signal);
  const cursor = 'cursor' in start ? start.cursor : '';
  const { images, next_cursor: next, total } = await listImages({ filter, limit: PAGE_SIZE, cursor }, signal);
  return { images, next: next === undefined ? null : { cursor: next }, total };
}

async function searchPage(query: Query, filter: string, offset: number, signal: AbortSignal): Promise<Page> {
  const limit = Math.min(PAGE_SIZE, SEARCH_WINDOW - offset);
  const { results } = await searchEndpoint(query, { limit, offset, filter }, signal);
  return { images: results, next: nextOffset(offset, limit, results.length), total: null };
}

function searchEndpoint(
  { text, like }: Query,
  window: { limit: number; offset: number; filter: string },
  signal: AbortSignal,
) {
  const words = text.trim();
  if (like === null) return searchByText(words, window, signal);
  const picture = queryPicture(like);
  if (picture !== undefined) return searchByExample({ picture: picture.blob }, words, window, signal);
  if (words === '') return similarTo(like, window, signal);
  return searchByExample({ imageId: like }, words, window, signal);
}

/** A short page is the last one, and so is the one that reaches the window's end. */
export function nextOffset(offset: number, limit: number, received: number): PageStart | null {
  const next = offset + received;
  return received < limit || next >= SEARCH_WINDOW ? null : { offset: next };
}
