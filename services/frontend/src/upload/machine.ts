// The life of one picture in the tray, from being chosen to being found. Pure.
import type { IngestEntry, Task } from '../api/types';
import { reasonOfFailure, reasonOfProblem, type Reason } from './reasons';

export type Phase =
  | 'waiting'
  | 'hashing'
  | 'checking'
  | 'sending'
  | 'queued'
  | 'processing'
  | 'found'
  | 'duplicate'
  | 'failed'
  | 'superseded'
  | 'cancelled';

/** Why a file that could be sent has to wait. */
export type Hold = 'server_away' | 'queue_full';

export interface UploadItem {
  /** Unique on this page and across its reloads. */
  key: string;
  /** With its folders, when it came with some. */
  name: string;
  /** Where the server fetches it from; null for a file. */
  url: string | null;
  sizeBytes: number;
  phase: Phase;
  /** Share of the bytes that is sent, 0 to 1. */
  sent: number;
  hold: Hold | null;
  taskId: string | null;
  imageId: string | null;
  /** Why it failed. */
  reason: Reason | null;
}

export type UploadEvent =
  | { type: 'hash' }
  | { type: 'check'; imageId: string }
  | { type: 'known'; imageId: string }
  | { type: 'send' }
  | { type: 'progress'; sent: number }
  | { type: 'hold'; hold: Hold }
  | { type: 'answer'; entry: IngestEntry }
  | { type: 'task'; task: Task }
  | { type: 'fail'; reason: Reason }
  | { type: 'cancel' }
  | { type: 'retry' };

export function newItem(key: string, name: string, sizeBytes: number, url: string | null = null): UploadItem {
  return {
    key,
    name,
    url,
    sizeBytes,
    phase: 'waiting',
    sent: 0,
    hold: null,
    taskId: null,
    imageId: null,
    reason: null,
  };
}

const ENDED: ReadonlySet<Phase> = new Set(['found', 'duplicate', 'failed', 'superseded', 'cancelled']);
const HERE: ReadonlySet<Phase> = new Set(['waiting', 'hashing', 'checking', 'sending']);

export function hasEnded(item: UploadItem): boolean {
  return ENDED.has(item.phase);
}

/** The file has not reached the server yet; only this page can bring it there. */
export function isStillHere(item: UploadItem): boolean {
  return HERE.has(item.phase);
}

/** The server has it, and will say what becomes of it. */
export function isFollowed(item: UploadItem): boolean {
  return item.phase === 'queued' || item.phase === 'processing';
}

/** The item after an event. What has ended stays so, but for a retry; late news changes nothing. */
export function step(item: UploadItem, event: UploadEvent): UploadItem {
  if (event.type === 'retry') {
    return item.phase === 'failed' || item.phase === 'cancelled'
      ? newItem(item.key, item.name, item.sizeBytes, item.url)
      : item;
  }
  if (hasEnded(item)) return item;
  switch (event.type) {
    case 'hash':
      return { ...item, phase: 'hashing' };
    case 'check':
      return { ...item, phase: 'checking', imageId: event.imageId, hold: null };
    case 'known':
      return { ...item, phase: 'duplicate', imageId: event.imageId };
    case 'send':
      return { ...item, phase: 'sending', sent: 0, hold: null };
    case 'progress':
      return item.phase === 'sending' ? { ...item, sent: Math.max(0, Math.min(1, event.sent)) } : item;
    case 'hold':
      return { ...item, hold: event.hold, sent: 0 };
    case 'answer':
      return afterAnswer(item, event.entry);
    case 'task':
      return afterTask(item, event.task);
    case 'fail':
      return { ...item, phase: 'failed', reason: event.reason, hold: null };
    case 'cancel':
      return isStillHere(item) ? { ...item, phase: 'cancelled', hold: null } : item;
  }
}

function afterAnswer(item: UploadItem, entry: IngestEntry): UploadItem {
  const taken = {
    ...item,
    hold: null,
    sent: 1,
    taskId: entry.task_id ?? null,
    imageId: entry.image_id ?? item.imageId,
  };
  switch (entry.status) {
    case 'queued':
      return { ...taken, phase: 'queued' };
    case 'duplicate':
      return { ...taken, phase: 'duplicate' };
    case 'failed':
      return { ...taken, phase: 'failed', reason: reasonOfProblem(entry.error) };
  }
}

function afterTask(item: UploadItem, task: Task): UploadItem {
  const told = { ...item, imageId: task.result?.image_id ?? task.image_id ?? item.imageId };
  switch (task.status) {
    case 'queued':
      return { ...told, phase: 'queued' };
    case 'processing':
      return { ...told, phase: 'processing' };
    case 'indexed':
      return { ...told, phase: 'found' };
    case 'duplicate':
    case 'superseded':
      return { ...told, phase: task.status };
    case 'failed':
      return { ...told, phase: 'failed', reason: reasonOfFailure(task.error) };
  }
}

export interface Summary {
  failed: number;
  /** Being hashed, sent or looked at. */
  active: number;
  waiting: number;
  found: number;
  duplicate: number;
  ended: number;
  total: number;
}

export function summarise(items: readonly UploadItem[]): Summary {
  const summary = { failed: 0, active: 0, waiting: 0, found: 0, duplicate: 0, ended: 0, total: items.length };
  for (const item of items) {
    if (hasEnded(item)) summary.ended += 1;
    if (item.phase === 'failed') summary.failed += 1;
    else if (item.phase === 'found') summary.found += 1;
    else if (item.phase === 'duplicate') summary.duplicate += 1;
    else if (item.phase === 'waiting' || item.phase === 'queued') summary.waiting += 1;
    else if (!hasEnded(item)) summary.active += 1;
  }
  return summary;
}
