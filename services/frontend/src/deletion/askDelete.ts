// Deleting as the visitor sees it: gone at once, with an undo for a while.
import { notify } from '../ui/notices';
import { commitDelete, hideForDelete, undoDelete, UNDO_MS } from './pending';

export function deleteWithUndo(imageId: string): void {
  hideForDelete(imageId);
  notify('Picture deleted.', {
    stays: UNDO_MS,
    undo: () => undoDelete(imageId),
    onGone: () => void commitDelete(imageId),
  });
}
