// Short messages at the foot of the page, some with an undo.
import { createStore } from '../lib/store';

export interface Notice {
  id: number;
  text: string;
  /** Milliseconds that it stays; it waits while somebody points at it or focuses it. */
  stays: number;
  undo?: () => void;
  /** Called when it has gone without an undo. */
  onGone?: () => void;
}

export const notices = createStore<readonly Notice[]>([]);

let nextId = 0;

export function notify(text: string, more: Partial<Omit<Notice, 'id' | 'text'>> = {}): void {
  notices.set([...notices.get(), { id: nextId++, text, stays: 6000, ...more }]);
}

export function dismiss(id: number): void {
  notices.set(notices.get().filter((notice) => notice.id !== id));
}

/** Undoes the latest thing that can be undone; false when there is none. */
export function undoLatest(): boolean {
  const latest = notices.get().findLast((notice) => notice.undo !== undefined);
  if (latest === undefined) return false;
  latest.undo?.();
  dismiss(latest.id);
  return true;
}
