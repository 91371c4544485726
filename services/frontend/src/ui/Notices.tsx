import { X } from 'lucide-react';
import { useEffect, useRef, useState } from 'react';
import { useStore } from '../lib/store';
import { dismiss, notices, type Notice } from './notices';
import styles from './Notices.module.css';

/** The messages at the foot of the page. Always there, or screen readers would miss the first one. */
export function Notices() {
  const shown = useStore(notices);
  return (
    <div role="status" className={styles.place}>
      {shown.map((notice) => (
        <NoticeLine key={notice.id} notice={notice} />
      ))}
    </div>
  );
}

function NoticeLine({ notice }: { notice: Notice }) {
  const [isHeld, setIsHeld] = useState(false);
  const leave = () => {
    dismiss(notice.id);
    notice.onGone?.();
  };
  useCountdown(notice.stays, isHeld, leave);
  return (
    <div
      className={styles.notice}
      onPointerEnter={() => setIsHeld(true)}
      onPointerLeave={() => setIsHeld(false)}
      onFocus={() => setIsHeld(true)}
      onBlur={() => setIsHeld(false)}
    >
      <p>{notice.text}</p>
      {notice.undo !== undefined && (
        <button
          type="button"
          className={styles.undo}
          onClick={() => {
            notice.undo?.();
            dismiss(notice.id);
          }}
        >
          Undo
        </button>
      )}
      <button type="button" className={styles.close} aria-label="Dismiss" onClick={leave}>
        <X size={17} aria-hidden="true" />
      </button>
    </div>
  );
}

/** Calls `onEnd` after `ms` milliseconds, not counting those for which it is held. */
function useCountdown(ms: number, isHeld: boolean, onEnd: () => void) {
  const left = useRef(ms);
  const end = useRef(onEnd);
  useEffect(() => {
    end.current = onEnd;
  });
  useEffect(() => {
    if (isHeld) return;
    const since = Date.now();
    const timer = setTimeout(() => end.current(), left.current);
    return () => {
      clearTimeout(timer);
      left.current -= Date.now() - since;
    };
  }, [isHeld]);
}
