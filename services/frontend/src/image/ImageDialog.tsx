import { useQuery } from '@tanstack/react-query';
import { ChevronLeft, ChevronRight, X } from 'lucide-react';
import { Dialog } from 'radix-ui';
import { useEffect, type KeyboardEvent } from 'react';
import { getImage } from '../api/endpoints';
import { ApiError } from '../api/errors';
import type { ImageDocument } from '../api/types';
import { deleteWithUndo } from '../deletion/askDelete';
import { gridFocus } from '../grid/Grid';
import { titleOf } from '../lib/images';
import { closeImage, openImage } from '../query/navigation';
import { focusDialog } from '../ui/focusDialog';
import { Details } from './Details';
import styles from './ImageDialog.module.css';
import { LargePicture } from './LargePicture';

interface Props {
  imageId: string;
  /** The grid behind it, for stepping to the next and the one before. */
  images: readonly ImageDocument[];
  onNearEnd: () => void;
}

/** One picture, large, with what is known of it. Arrow keys step through the results, Escape goes back to them. */
export default function ImageDialog({ imageId, images, onNearEnd }: Props) {
  const index = images.findIndex((image) => image.image_id === imageId);
  const fetched = useQuery({
    queryKey: ['image', imageId],
    queryFn: ({ signal }) => getImage(imageId, signal),
  });
  const image = fetched.data ?? images[index];
  const previous = index > 0 ? images[index - 1] : undefined;
  const next = index >= 0 ? images[index + 1] : undefined;
  useEffect(() => {
    if (index >= 0 && next === undefined) onNearEnd();
  }, [index, next, onNearEnd]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (isInForm(event.target)) return;
    if (event.key === 'ArrowLeft' && previous !== undefined) openImage(previous.image_id);
    else if (event.key === 'ArrowRight' && next !== undefined) openImage(next.image_id);
    else if (event.key === 'Delete' && image !== undefined) remove(image);
    else return;
    event.preventDefault();
  };

  return (
    <Dialog.Root open onOpenChange={(open) => !open && closeImage()}>
      <Dialog.Portal>
        <Dialog.Overlay className={styles.overlay} />
        <Dialog.Content
          className={styles.dialog}
          aria-describedby={undefined}
          onKeyDown={onKeyDown}
          onOpenAutoFocus={focusDialog}
          onEscapeKeyDown={(event) => {
            // There, Escape gives up the changes, not the whole dialog.
            if (isInForm(event.target)) event.preventDefault();
          }}
          onCloseAutoFocus={(event) => {
            event.preventDefault();
            gridFocus.set({ imageId });
          }}
        >
          <div className={styles.stage}>
            {image !== undefined && <LargePicture key={image.image_id} image={image} />}
            <Step image={previous} label="Previous picture" side="left" />
            <Step image={next} label="Next picture" side="right" />
          </div>
          <aside className={styles.panel}>
            <div className={styles.head}>
              <Dialog.Title className={styles.title}>
                {image === undefined ? 'Picture' : titleOf(image)}
              </Dialog.Title>
              <Dialog.Close className="icon" aria-label="Close">
                <X size={20} aria-hidden="true" />
              </Dialog.Close>
            </div>
            {image !== undefined && (
              <Details key={image.image_id} image={image} onDelete={() => remove(image)} />
            )}
            {image === undefined && fetched.error !== null && <Missing error={fetched.error} />}
          </aside>
        </Dialog.Content>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

function remove(image: ImageDocument): void {
  closeImage();
  deleteWithUndo(image.image_id);
}

function Step({
  image,
  label,
  side,
}: {
  image: ImageDocument | undefined;
  label: string;
  side: 'left' | 'right';
}) {
  if (image === undefined) return null;
  const Icon = side === 'left' ? ChevronLeft : ChevronRight;
  return (
    <button
      type="button"
      className={styles.step}
      data-side={side}
      aria-label={label}
      onClick={() => openImage(image.image_id)}
    >
      <Icon size={26} aria-hidden="true" />
    </button>
  );
}

function Missing({ error }: { error: Error }) {
  const isGone = error instanceof ApiError && error.slug === 'not-found';
  return (
    <p className={styles.missing}>
      {isGone
        ? 'This picture isn’t in the collection. It may have been deleted.'
        : `This picture can’t be shown now: ${error.message}`}
    </p>
  );
}

function isInForm(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.closest('form') !== null;
}
