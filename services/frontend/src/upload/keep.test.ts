import { expect, it } from 'vitest';
import { restored } from './keep';
import { newItem } from './machine';

it('follows what was sent and tells of what was not', () => {
  const sent = { ...newItem('k1', 'a.jpg', 1), phase: 'queued' as const, taskId: 't1' };
  const unsent = { ...newItem('k2', 'b.jpg', 1), phase: 'sending' as const };
  const [first, second] = restored([sent, unsent]);
  expect(first).toEqual(sent);
  expect(second).toMatchObject({ phase: 'failed', reason: { canRetry: false } });
  expect(second?.reason?.text).toMatch(/Choose it again/);
});

it('goes on with an address that was not sent', () => {
  const item = { ...newItem('k3', 'example.org/c.jpg', 0, 'https://example.org/c.jpg'), phase: 'sending' };
  expect(restored([item])).toMatchObject([{ phase: 'waiting', url: 'https://example.org/c.jpg' }]);
});

it('ignores what it does not understand', () => {
  expect(restored(null)).toEqual([]);
  expect(restored([1, null, {}])).toEqual([]);
});
