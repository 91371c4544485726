import { expect, it } from 'vitest';
import { backoffMs, sleep } from './time';

it('waits longer from try to try, up to a limit, and never quite the same', () => {
  expect([0, 1, 2, 3, 4, 9].map((attempt) => backoffMs(attempt, () => 0.5))).toEqual([
    1000, 2000, 4000, 8000, 10_000, 10_000,
  ]);
  expect(backoffMs(0, () => 0)).not.toBe(backoffMs(0, () => 1));
});

it('stops waiting when it is told to', async () => {
  const abort = new AbortController();
  const waiting = sleep(60_000, abort.signal);
  abort.abort();
  await expect(waiting).rejects.toThrow();
});
