import { Dialog } from 'radix-ui';
import { X } from 'lucide-react';
import { useState, type ReactNode } from 'react';
import { focusDialog } from './focusDialog';
import styles from './Modal.module.css';

interface Props {
  title: string;
  children: ReactNode;
  onClose: () => void;
}

/** A small dialog in the middle of the page. */
export function Modal({ title, children, onClose }: Props) {
  // The dialog was opened by something other than a trigger of its own, so it has to know itself where the focus was.
  const [before] = useState(() => document.activeElement);
  return (
    <Dialog.Root open onOpenChange={(open) => !open && onClose()}>
      <Dialog.Portal>
        <Dialog.Overlay className={styles.overlay} data-dims>
          <Dialog.Content
            className={styles.modal}
            aria-describedby={undefined}
            onOpenAutoFocus={focusDialog}
            onCloseAutoFocus={(event) => {
              event.preventDefault();
              if (before instanceof HTMLElement) before.focus();
            }}
          >
            <div className={styles.head}>
              <Dialog.Title className={styles.title}>{title}</Dialog.Title>
              <Dialog.Close className="icon" aria-label="Close">
                <X size={20} aria-hidden="true" />
              </Dialog.Close>
            </div>
            {children}
          </Dialog.Content>
        </Dialog.Overlay>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
