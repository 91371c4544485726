import { Toast } from 'radix-ui';
import { useStore } from '../lib/store';
import { dismiss, notices, type Notice } from './notices';
import styles from './Notices.module.css';

/** The messages at the foot of the page; F8 moves the focus to them. */
export default function Notices() {
  const shown = useStore(notices);
  return (
    <Toast.Provider label="Message" swipeDirection="down">
      {shown.map((notice) => (
        <NoticeToast key={notice.id} notice={notice} />
      ))}
      <Toast.Viewport className={styles.viewport} />
    </Toast.Provider>
  );
}

function NoticeToast({ notice }: { notice: Notice }) {
  const onOpenChange = (open: boolean) => {
    if (open) return;
    notice.onGone?.();
    dismiss(notice.id);
  };
  const undo = () => {
    notice.undo?.();
    dismiss(notice.id);
  };
  return (
    <Toast.Root className={styles.toast} duration={notice.stays} onOpenChange={onOpenChange} defaultOpen>
      <Toast.Description>{notice.text}</Toast.Description>
      {notice.undo !== undefined && (
        <Toast.Action asChild altText="Undo with Control and Z">
          <button
            type="button"
            className={styles.undo}
            onClick={(event) => {
              // The toast would take the click for a plain close.
              event.preventDefault();
              undo();
            }}
          >
            Undo
          </button>
        </Toast.Action>
      )}
      <Toast.Close className={styles.close} aria-label="Dismiss">
        ×
      </Toast.Close>
    </Toast.Root>
  );
}
