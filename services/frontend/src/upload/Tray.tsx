import { ChevronDown, X } from 'lucide-react';
import { useState } from 'react';
import { count } from '../lib/format';
import { useStore } from '../lib/store';
import { hasEnded, isStillHere, summarise, type Summary, type UploadItem } from './machine';
import styles from './Tray.module.css';
import { TrayItem } from './TrayItem';
import { canRetry, cancelAll, clearEnded, retry, tray } from './uploads';

/** Few enough to be shown one by one without groups. */
const FEW = 8;
/** Of a group no more are listed. */
const LISTED = 40;

/** What is being added, at the side: failures first, then what is under way, then what is done. */
export default function Tray() {
  const items = useStore(tray);
  const [isOpen, setIsOpen] = useState(true);
  if (items.length === 0) return null;
  const summary = summarise(items);
  const headline = headlineOf(summary);
  return (
    <section className={styles.tray} aria-label="Pictures being added" data-testid="tray">
      <header className={styles.head}>
        <h2>{headline}</h2>
        <button
          type="button"
          className="icon"
          aria-expanded={isOpen}
          aria-label={isOpen ? 'Fold' : 'Unfold'}
          onClick={() => setIsOpen(!isOpen)}
        >
          <ChevronDown size={18} aria-hidden="true" className={styles.fold} data-open={isOpen || undefined} />
        </button>
        {summary.ended === summary.total && (
          <button type="button" className="icon" aria-label="Close" onClick={clearEnded}>
            <X size={18} aria-hidden="true" />
          </button>
        )}
        <Progress summary={summary} />
      </header>
      <p className="sr-only" role="status">
        {announcementOf(summary)}
      </p>
      {isOpen && <Body items={items} summary={summary} />}
    </section>
  );
}

function headlineOf({ total, ended, failed, found, duplicate }: Summary): string {
  if (ended < total) return `Adding ${count(total, 'picture')}`;
  if (failed > 0) return `${count(failed, 'picture')} couldn’t be added`;
  if (found > 0) return `${count(found, 'picture')} added`;
  return duplicate > 0 ? 'Already in your collection' : 'Nothing added';
}

/** Said once at the beginning and once at the end, not with every file. */
function announcementOf(summary: Summary): string {
  const { total, ended, failed, found, duplicate } = summary;
  if (ended < total) return `Adding ${count(total, 'picture')}.`;
  return `Done: ${found} added, ${duplicate} already there, ${failed} failed.`;
}

function Progress({ summary: { ended, total } }: { summary: Summary }) {
  return (
    <progress
      className={styles.progress}
      max={total}
      value={ended}
      aria-label={`${ended} of ${total} done`}
    />
  );
}

function Body({ items, summary }: { items: readonly UploadItem[]; summary: Summary }) {
  const failed = items.filter((item) => item.phase === 'failed');
  const active = items.filter((item) => !hasEnded(item) && !isQuiet(item));
  const waiting = items.filter(isQuiet);
  const done = items.filter((item) => hasEnded(item) && item.phase !== 'failed');
  const isGrouped = items.length > FEW;
  const retryable = failed.filter(canRetry);
  return (
    <div className={styles.body}>
      <Group title={`${failed.length} failed`} items={failed} isGrouped={isGrouped} startsOpen />
      <Group title={`${active.length} under way`} items={active} isGrouped={isGrouped} startsOpen />
      <Group title={`${waiting.length} waiting`} items={waiting} isGrouped={isGrouped} />
      <Group title={doneTitle(summary)} items={done} isGrouped={isGrouped} />
      <div className={styles.actions}>
        {retryable.length > 1 && (
          <button type="button" className="quiet" onClick={() => retryable.forEach(({ key }) => retry(key))}>
            Try all again
          </button>
        )}
        {items.filter(isStillHere).length > 1 && (
          <button type="button" className="quiet" onClick={cancelAll}>
            Cancel what isn’t sent
          </button>
        )}
        {summary.ended > 0 && summary.ended < summary.total && (
          <button type="button" className="quiet" onClick={clearEnded}>
            Clear what is done
          </button>
        )}
      </div>
    </div>
  );
}

function isQuiet(item: UploadItem): boolean {
  return item.phase === 'waiting' || (item.phase === 'queued' && item.hold === null);
}

function doneTitle({ found, duplicate }: Summary): string {
  const there = duplicate > 0 ? `, ${duplicate} already there` : '';
  return `${found} added${there}`;
}

interface GroupProps {
  title: string;
  items: readonly UploadItem[];
  isGrouped: boolean;
  startsOpen?: boolean;
}

function Group({ title, items, isGrouped, startsOpen = false }: GroupProps) {
  if (items.length === 0) return null;
  const list = (
    <ul className={styles.list}>
      {items.slice(0, LISTED).map((item) => (
        <TrayItem key={item.key} item={item} />
      ))}
      {items.length > LISTED && <li className={styles.more}>and {items.length - LISTED} more</li>}
    </ul>
  );
  if (!isGrouped) return list;
  return (
    <details open={startsOpen} className={styles.group}>
      <summary>{title}</summary>
      {list}
    </details>
  );
}
