import { describe, expect, it } from 'vitest';
import { justify } from '../lib/layout';
import { moveBy, rowOf } from './movement';

// Rows of four: 0–3, 4–7, 8–9.
const rows = justify(
  Array.from({ length: 10 }, () => 1),
  { width: 424, targetHeight: 106, gap: 0 },
);

describe('moveBy', () => {
  it.each([
    ['ArrowRight', 3, 4],
    ['ArrowRight', 9, null],
    ['ArrowLeft', 0, null],
    ['ArrowLeft', 4, 3],
    ['ArrowDown', 1, 5],
    ['ArrowDown', 7, 9],
    ['ArrowDown', 8, null],
    ['ArrowUp', 9, 5],
    ['ArrowUp', 2, null],
    ['PageDown', 0, 8],
    ['PageUp', 9, 1],
    ['Home', 7, 0],
    ['End', 0, 9],
    ['x', 3, null],
  ])('%s from %i leads to %s', (key, from, to) => {
    expect(moveBy(key, from, rows, 3)).toBe(to);
  });

  it('leads nowhere in an empty grid', () => {
    expect(moveBy('End', 0, [], 3)).toBeNull();
  });
});

it('finds the row of a picture', () => {
  expect([0, 3, 4, 7, 8, 9].map((index) => rowOf(index, rows))).toEqual([0, 0, 1, 1, 2, 2]);
});
