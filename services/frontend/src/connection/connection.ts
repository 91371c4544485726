// Whether the server answers. When it doesn't, this asks again by itself, ever less often, until it does.
import { createStore } from '../lib/store';
import { backoffMs, sleep } from '../lib/time';

export interface Connection {
  away: boolean;
  /** When the next try is made, in milliseconds since the epoch; null while one is under way. */
  nextTry: number | null;
}

const HERE: Connection = { away: false, nextTry: null };

export const connection = createStore<Connection>(HERE);

const returnListeners = new Set<() => void>();
let cutWait: AbortController | null = null;

/** Calls `listener` each time the server is back. Gives a function that ends it. */
export function onReturn(listener: () => void): () => void {
  returnListeners.add(listener);
  return () => returnListeners.delete(listener);
}

/** A request got no answer. */
export function lost(): void {
  if (connection.get().away) return;
  connection.set({ away: true, nextTry: null });
  void probeUntilBack();
}

/** A request got an answer. */
export function found(): void {
  if (!connection.get().away) return;
  connection.set(HERE);
  cutWait?.abort();
  for (const listener of returnListeners) listener();
}

export function tryNow(): void {
  cutWait?.abort();
}

window.addEventListener('online', tryNow);

async function probeUntilBack(): Promise<void> {
  for (let attempt = 0; connection.get().away; attempt += 1) {
    const wait = backoffMs(attempt);
    connection.set({ away: true, nextTry: Date.now() + wait });
    cutWait = new AbortController();
    await sleep(wait, cutWait.signal).catch(() => undefined);
    if (!connection.get().away) return;
    connection.set({ away: true, nextTry: null });
    if (await answers()) found();
  }
}

async function answers(): Promise<boolean> {
  try {
    const response = await fetch('/api/v1/image?limit=1', { signal: AbortSignal.timeout(8000) });
    return response.status < 500;
  } catch {
    return false;
  }
}
