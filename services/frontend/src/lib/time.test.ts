import { expect, it } from 'vitest';
import { backoffMs, roughTime, sleep } from './time';

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

it('tells time left no more precisely than it is known', () => {
  expect([0, 5.2, 89, 90, 1800, 5400, 8000].map(roughTime)).toEqual([
    '1 s',
    '6 s',
    '89 s',
    '2 min',
    '30 min',
    '2 h',
    '2 h',
  ]);
});
