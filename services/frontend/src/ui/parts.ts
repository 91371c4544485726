// Parts of the page that the first load does without. They are fetched once the page has nothing better to do, so that
// they are there when they are needed, also while the server is away or after it was replaced by a newer one.
import { lazy } from 'react';

const load = {
  filterBar: () => import('../search/FilterBar'),
  imageDialog: () => import('../image/ImageDialog'),
  tray: () => import('../upload/Tray'),
  dialogs: () => import('./dialogs'),
};

export const FilterBar = lazy(load.filterBar);
export const ImageDialog = lazy(load.imageDialog);
export const Tray = lazy(load.tray);
export const AddressDialog = lazy(async () => ({ default: (await load.dialogs()).AddressDialog }));
export const HelpDialog = lazy(async () => ({ default: (await load.dialogs()).HelpDialog }));
export const KeyDialog = lazy(async () => ({ default: (await load.dialogs()).KeyDialog }));

/** Not every browser tells when it is idle. */
const NO_IDLE_MS = 1500;

export function fetchPartsWhenIdle(): void {
  const fetchParts = () => {
    // One that fails is tried again when it is needed.
    for (const part of Object.values(load)) part().catch(() => undefined);
  };
  if ('requestIdleCallback' in window) requestIdleCallback(fetchParts, { timeout: 5000 });
  else setTimeout(fetchParts, NO_IDLE_MS);
}
