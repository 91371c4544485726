// New pictures come into the grid without pushing away what somebody looks at.
import { createStore } from '../lib/store';
import { refreshImages } from './cache';

/** Pictures have become searchable that the grid, scrolled down, doesn't show yet. */
export const hasNews = createStore(false);

const EVERY_MS = 1200;
/** Scrolled less than this, the visitor is looking at the top. */
const TOP_PX = 120;

let timer: ReturnType<typeof setTimeout> | undefined;

/** Brings new pictures into the grid shortly; many calls are one refresh. */
export function refreshSoon(): void {
  timer ??= setTimeout(() => {
    timer = undefined;
    if (window.scrollY < TOP_PX) refreshNow();
    else hasNews.set(true);
  }, EVERY_MS);
}

export function refreshNow(): void {
  hasNews.set(false);
  refreshImages();
}
