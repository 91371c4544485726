// Whether the sample photos were added from this browser, so that searches which fit them are offered.
import { createStore } from '../lib/store';

const STORAGE_KEY = 'imagesearch.samples';

export const hasSamples = createStore(localStorage.getItem(STORAGE_KEY) !== null);

export function rememberSamples(): void {
  localStorage.setItem(STORAGE_KEY, 'added');
  hasSamples.set(true);
}

export function forgetSamples(): void {
  localStorage.removeItem(STORAGE_KEY);
  hasSamples.set(false);
}
