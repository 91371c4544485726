// Deletes that can still be undone. The call is made when the time for that is over, or when the page goes.
import { deleteImage } from '../api/endpoints';
import { ApiError, AwayError } from '../api/errors';
import { createStore } from '../lib/store';
import { backoffMs, sleep } from '../lib/time';
import { notify } from '../ui/notices';

/** How long a delete can be undone, in milliseconds. */
export const UNDO_MS = 8000;

/** Ids of pictures that are hidden because they are being deleted. */
export const pendingDeletes = createStore<ReadonlySet<string>>(new Set());

/** Those of them whose call has been made. */
const committed = new Set<string>();

type Listener = (imageId: string) => void;
const deletedListeners = new Set<Listener>();

/** Calls `listener` with each id that is gone for good. */
export function onDeleted(listener: Listener): void {
  deletedListeners.add(listener);
}

export function hideForDelete(imageId: string): void {
  pendingDeletes.set(new Set(pendingDeletes.get()).add(imageId));
}

export function undoDelete(imageId: string): void {
  if (committed.has(imageId)) return;
  forget(imageId);
}

/** Deletes on the server, and keeps trying while the server is away. */
export async function commitDelete(imageId: string): Promise<void> {
  if (committed.has(imageId) || !pendingDeletes.get().has(imageId)) return;
  committed.add(imageId);
  try {
    await deleteWithRetries(imageId);
    for (const listener of deletedListeners) listener(imageId);
  } catch (error) {
    notify(`The picture was not deleted: ${error instanceof Error ? error.message : 'unknown error'}`);
  }
  committed.delete(imageId);
  forget(imageId);
}

async function deleteWithRetries(imageId: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      await deleteImage(imageId);
      return;
    } catch (error) {
      if (error instanceof ApiError && error.slug === 'not-found') return;
      if (!(error instanceof AwayError)) throw error;
      await sleep(error.retryAfterMs ?? backoffMs(attempt));
    }
  }
}

function forget(imageId: string): void {
  const rest = new Set(pendingDeletes.get());
  rest.delete(imageId);
  pendingDeletes.set(rest);
}

window.addEventListener('pagehide', () => {
  for (const imageId of pendingDeletes.get()) {
    if (!committed.has(imageId)) void deleteImage(imageId, true).catch(() => undefined);
  }
});
