// Everything that is being added: at most three pictures under way at once, all of them followed until they are found.
import { addSamples } from '../api/endpoints';
import type { IngestEntry, Task } from '../api/types';
import { createStore } from '../lib/store';
import { shortAddress } from './addresses';
import type { Picked } from './files';
import { keepTray, keptTray } from './keep';
import {
  hasEnded,
  isFollowed,
  isStillHere,
  newItem,
  step,
  type UploadEvent,
  type UploadItem,
} from './machine';
import { TASK_GONE } from './reasons';
import type { Source } from './send';
import { transfer } from './transfer';
import { TaskWatch } from './watch';

const LANES = 3;
/** Milliseconds between two updates of what is shown; hundreds of files report more often than anybody can see. */
const SHOW_EVERY_MS = 80;
/** Milliseconds between two copies of the tray into the browser's store, which takes long for thousands of files. */
const KEEP_EVERY_MS = 1000;

export const tray = createStore<readonly UploadItem[]>([]);

/** Called, not too often, after pictures have become searchable. */
let onFound: () => void = () => {};

const items = new Map<string, UploadItem>();
const keyOfTask = new Map<string, string>();
const files = new Map<string, File>();
const underWay = new Map<string, AbortController>();
let showTimer: ReturnType<typeof setTimeout> | undefined;
let keepTimer: ReturnType<typeof setTimeout> | undefined;

const watch = new TaskWatch({
  alive: () => [...items.values()].filter(isFollowed).flatMap(({ taskId }) => taskId ?? []),
  onTask: (task: Task) => {
    const key = keyOfTask.get(task.task_id);
    if (key !== undefined) apply(key, { type: 'task', task });
  },
  onGone: (taskId) => {
    const key = keyOfTask.get(taskId);
    if (key !== undefined) apply(key, { type: 'fail', reason: TASK_GONE });
  },
});

/** Takes up what an earlier page left, and tells `found` when pictures have become searchable. */
export function startUploads(found: () => void): void {
  onFound = found;
  for (const item of keptTray()) put(item);
  pump();
  window.addEventListener('beforeunload', (event) => {
    if ([...items.values()].some((item) => isStillHere(item) && item.url === null)) event.preventDefault();
  });
  window.addEventListener('pagehide', () => keepTray([...items.values()]));
}

export function addFiles({ files: picked }: Picked): void {
  for (const { file, path } of picked) {
    const key = newKey();
    files.set(key, file);
    put(newItem(key, path, file.size));
  }
  pump();
}

/** Has the server fetch pictures from these addresses. */
export function addUrls(urls: readonly string[]): void {
  for (const url of urls) put(newItem(newKey(), shortAddress(url), 0, url));
  pump();
}

/** Has the server add its sample pictures. Throws as any request does. */
export async function addSamplePictures(): Promise<void> {
  const { tasks } = await addSamples();
  tasks.forEach(addEntry);
}

export function cancel(key: string): void {
  apply(key, { type: 'cancel' });
  underWay.get(key)?.abort();
}

export function cancelAll(): void {
  for (const item of [...items.values()].filter(isStillHere)) cancel(item.key);
}

/** Can be tried again: its file is still at hand, or it has an address. */
export function canRetry(item: UploadItem): boolean {
  const isWorthIt = item.phase === 'cancelled' || item.reason?.canRetry === true;
  return isWorthIt && sourceOf(item) !== undefined;
}

export function retry(key: string): void {
  apply(key, { type: 'retry' });
  pump();
}

/** Takes what has ended off the tray. */
export function clearEnded(): void {
  for (const item of [...items.values()].filter(hasEnded)) {
    items.delete(item.key);
    files.delete(item.key);
    if (item.taskId !== null) keyOfTask.delete(item.taskId);
  }
  show();
}

function addEntry(entry: IngestEntry): void {
  const key = entry.task_id ?? newKey();
  put(newItem(key, entry.name ?? 'Sample picture', 0));
  apply(key, { type: 'answer', entry });
}

function put(item: UploadItem): void {
  items.set(item.key, item);
  if (item.taskId !== null) keyOfTask.set(item.taskId, item.key);
  show();
}

function apply(key: string, event: UploadEvent): void {
  const item = items.get(key);
  if (item === undefined) return;
  const next = step(item, event);
  if (next === item) return;
  put(next);
  if (next.phase === 'found' || next.phase === 'duplicate') files.delete(key);
  if (next.phase === 'found') onFound();
}

function sourceOf(item: UploadItem): Source | undefined {
  return item.url ?? files.get(item.key);
}

function newKey(): string {
  return crypto.getRandomValues(new Uint32Array(3)).join('-');
}

function pump(): void {
  for (const item of items.values()) {
    if (underWay.size >= LANES) return;
    const source = sourceOf(item);
    if (item.phase === 'waiting' && source !== undefined && !underWay.has(item.key))
      void run(item.key, source);
  }
}

async function run(key: string, source: Source): Promise<void> {
  const abort = new AbortController();
  underWay.set(key, abort);
  await transfer(source, abort.signal, (event) => apply(key, event));
  underWay.delete(key);
  pump();
}

function show(): void {
  showTimer ??= setTimeout(() => {
    showTimer = undefined;
    tray.set([...items.values()]);
    watch.update();
  }, SHOW_EVERY_MS);
  keepTimer ??= setTimeout(() => {
    keepTimer = undefined;
    keepTray([...items.values()]);
  }, KEEP_EVERY_MS);
}
