import { describe, expect, it } from 'vitest';
import type { Task, TaskStatus } from '../api/types';
import { hasEnded, isFollowed, newItem, step, summarise, type UploadEvent, type UploadItem } from './machine';

const task = (status: TaskStatus, more: Partial<Task> = {}): UploadEvent => ({
  type: 'task',
  task: { task_id: 't1', status, ...more },
});
const after = (...events: UploadEvent[]): UploadItem => events.reduce(step, newItem('k1', 'a.jpg', 10));
const queued: UploadEvent = {
  type: 'answer',
  entry: { status: 'queued', task_id: 't1', image_id: 'i1', name: 'a.jpg' },
};

describe('a file on its way', () => {
  it('goes from waiting to found', () => {
    const events: UploadEvent[] = [
      { type: 'hash' },
      { type: 'check', imageId: 'i1' },
      { type: 'send' },
      { type: 'progress', sent: 0.5 },
      queued,
      task('processing'),
      task('indexed', { result: { image_id: 'i1', url: '/images/i1' } }),
    ];
    const phases = events.map((_, index) => after(...events.slice(0, index + 1)).phase);
    expect(phases).toEqual(['hashing', 'checking', 'sending', 'sending', 'queued', 'processing', 'found']);
    expect(after(...events)).toMatchObject({ imageId: 'i1', taskId: 't1', hold: null });
  });

  it('is a duplicate when the server has it already, before or after sending', () => {
    expect(after({ type: 'known', imageId: 'i1' }).phase).toBe('duplicate');
    expect(after({ type: 'answer', entry: { status: 'duplicate', image_id: 'i1' } }).phase).toBe('duplicate');
    expect(after(queued, task('duplicate')).phase).toBe('duplicate');
  });

  it('fails with a reason that says what to do', () => {
    const refused = after({
      type: 'answer',
      entry: {
        status: 'failed',
        error: {
          type: 'https://imagesearch.dev/problems/unsupported-type',
          title: 'x',
          status: 415,
          detail: 'it is HEIC',
        },
      },
    });
    expect(refused.phase).toBe('failed');
    expect(refused.reason?.text).toMatch(/Save it as JPEG.*It is HEIC/);
    const failed = after(queued, task('failed', { error: { code: 'corrupt', detail: '' } }));
    expect(failed.reason).toMatchObject({ canRetry: false });
    const error = {
      code: 'fetch_failed' as const,
      detail: 'https://a.org/1.jpg cannot be fetched: it answered 404',
    };
    const unfetched = after(queued, task('failed', { error }));
    expect(unfetched.reason?.text).toMatch(/add it as a file\. \(It answered 404\)$/);
  });

  it('waits while the server is away and goes on from there', () => {
    const held = after(
      { type: 'send' },
      { type: 'progress', sent: 0.7 },
      { type: 'hold', hold: 'server_away' },
    );
    expect(held).toMatchObject({ phase: 'sending', hold: 'server_away', sent: 0 });
    expect(step(held, { type: 'send' }).hold).toBeNull();
  });

  it('stays ended whatever comes late', () => {
    const found = after(queued, task('indexed'));
    expect(step(found, task('processing'))).toBe(found);
    expect(step(found, { type: 'cancel' })).toBe(found);
    expect(step(found, { type: 'retry' })).toBe(found);
  });

  it('can be cancelled until it is sent, and tried again after', () => {
    const cancelled = after({ type: 'send' }, { type: 'cancel' });
    expect(cancelled.phase).toBe('cancelled');
    expect(step(cancelled, queued).phase).toBe('cancelled');
    expect(step(cancelled, { type: 'retry' })).toEqual(newItem('k1', 'a.jpg', 10));
    expect(after(queued, { type: 'cancel' }).phase).toBe('queued');
  });

  it('is followed exactly while the server works on it', () => {
    expect([after(), after(queued), after(queued, task('processing'))].map(isFollowed)).toEqual([
      false,
      true,
      true,
    ]);
    expect(hasEnded(after(queued, task('superseded')))).toBe(true);
  });
});

it('counts what the tray shows', () => {
  const items = [
    after(),
    after({ type: 'send' }),
    after(queued),
    after(queued, task('indexed')),
    after({ type: 'known', imageId: 'i' }),
    after(queued, task('failed')),
  ];
  expect(summarise(items)).toEqual({
    failed: 1,
    active: 1,
    waiting: 2,
    found: 1,
    duplicate: 1,
    ended: 3,
    total: 6,
  });
});
