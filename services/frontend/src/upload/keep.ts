// The tray across a reload. Files themselves can't be kept; those that were not sent yet say so. Addresses can.
import { hasEnded, isStillHere, newItem, type UploadItem } from './machine';
import { INTERRUPTED } from './reasons';

const STORAGE_KEY = 'imagesearch.tray';
/** More would fill the browser's store; the rest is on the server all the same. */
const MAX_KEPT = 5000;

/** What is worth keeping: what is under way and what went wrong. */
export function keepTray(items: readonly UploadItem[]): void {
  const kept = items.filter((item) => !hasEnded(item) || item.phase === 'failed').slice(0, MAX_KEPT);
  try {
    if (kept.length === 0) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, JSON.stringify(kept));
  } catch {
    // Storage is full or not allowed: the tray lasts as long as the page.
  }
}

export function keptTray(): UploadItem[] {
  try {
    return restored(JSON.parse(localStorage.getItem(STORAGE_KEY) ?? '[]'));
  } catch {
    return [];
  }
}

/** Reads what an earlier page kept. Anything else in its place is ignored. */
export function restored(kept: unknown): UploadItem[] {
  if (!Array.isArray(kept)) return [];
  return kept.filter(isItem).map((item) => (isStillHere(item) ? interrupted(item) : item));
}

function interrupted(item: UploadItem): UploadItem {
  if (item.url !== null) return newItem(item.key, item.name, item.sizeBytes, item.url);
  return { ...item, phase: 'failed', hold: null, reason: INTERRUPTED };
}

function isItem(value: unknown): value is UploadItem {
  return (
    typeof value === 'object' &&
    value !== null &&
    ['key', 'name', 'url', 'phase', 'taskId'].every((name) => name in value)
  );
}
