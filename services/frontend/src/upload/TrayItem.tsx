import { CircleAlert, Clock3, CloudUpload, RotateCw, X } from 'lucide-react';
import type { ReactNode } from 'react';
import { variantUrl } from '../lib/images';
import { openImage } from '../query/navigation';
import { isStillHere, type Phase, type UploadItem } from './machine';
import styles from './Tray.module.css';
import { canRetry, cancel, retry } from './uploads';

const WORDS: Record<Phase, string> = {
  waiting: 'Waiting',
  hashing: 'Reading',
  checking: 'Asking whether it’s there',
  sending: 'Sending',
  queued: 'Sent, waiting its turn',
  processing: 'Being looked at',
  found: 'Added',
  duplicate: 'Already in your collection',
  failed: 'Failed',
  superseded: 'Changed or deleted meanwhile',
  cancelled: 'Cancelled',
};

/** Of what the server fetches itself. */
const FETCH_WORDS: Partial<Record<Phase, string>> = {
  sending: 'Asking the server to fetch it',
  queued: 'Waiting its turn to be fetched',
  processing: 'Being fetched and looked at',
};

const HOLDS = {
  server_away: 'Waiting for the server to come back',
  queue_full: 'The server is busy; this goes on by itself',
} as const;

/** One file of the tray. */
export function TrayItem({ item }: { item: UploadItem }) {
  return (
    <li className={styles.item} data-phase={item.phase} data-testid="tray-item">
      <Mark item={item} />
      <div className={styles.text}>
        <span className={styles.name} title={item.url ?? item.name} dir="auto">
          {item.url === null ? item.name.split('/').at(-1) : item.name}
        </span>
        <span className={styles.state}>{stateOf(item)}</span>
        {item.phase === 'sending' && item.hold === null && item.url === null && (
          <progress className={styles.sent} max={1} value={item.sent} aria-label={`Sending ${item.name}`} />
        )}
      </div>
      <Actions item={item} />
    </li>
  );
}

function stateOf(item: UploadItem): string {
  if (item.reason !== null) return item.reason.text;
  if (item.hold !== null) return HOLDS[item.hold];
  return (item.url === null ? undefined : FETCH_WORDS[item.phase]) ?? WORDS[item.phase];
}

function Mark({ item }: { item: UploadItem }) {
  const { imageId, phase } = item;
  if (imageId !== null && (phase === 'found' || phase === 'duplicate')) {
    return (
      <button
        type="button"
        className={styles.mark}
        aria-label={`Open ${item.name}`}
        onClick={() => openImage(imageId)}
      >
        <img src={variantUrl(imageId, 128)} alt="" />
      </button>
    );
  }
  return <span className={styles.mark}>{iconOf(phase)}</span>;
}

function iconOf(phase: Phase): ReactNode {
  if (phase === 'failed') return <CircleAlert size={20} aria-hidden="true" />;
  if (phase === 'sending') return <CloudUpload size={20} aria-hidden="true" />;
  if (phase === 'cancelled') return <X size={20} aria-hidden="true" />;
  return <Clock3 size={20} aria-hidden="true" />;
}

function Actions({ item }: { item: UploadItem }) {
  if (isStillHere(item)) {
    return (
      <button
        type="button"
        className="icon"
        aria-label={`Cancel ${item.name}`}
        onClick={() => cancel(item.key)}
      >
        <X size={16} aria-hidden="true" />
      </button>
    );
  }
  if (!canRetry(item)) return null;
  return (
    <button
      type="button"
      className="icon"
      aria-label={`Try ${item.name} again`}
      onClick={() => retry(item.key)}
    >
      <RotateCw size={16} aria-hidden="true" />
    </button>
  );
}
