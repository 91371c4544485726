// Where the arrow keys go in the grid. Pure.
import type { Box, Row } from '../lib/layout';

/** The index that a key leads to from `index`, or null when it leads nowhere. */
export function moveBy(key: string, index: number, rows: readonly Row[], pageRows: number): number | null {
  const last = rows.at(-1)?.boxes.at(-1)?.index;
  if (last === undefined) return null;
  switch (key) {
    case 'ArrowLeft':
      return index > 0 ? index - 1 : null;
    case 'ArrowRight':
      return index < last ? index + 1 : null;
    case 'ArrowUp':
      return vertically(index, -1, rows);
    case 'ArrowDown':
      return vertically(index, 1, rows);
    case 'PageUp':
      return vertically(index, -pageRows, rows);
    case 'PageDown':
      return vertically(index, pageRows, rows);
    case 'Home':
      return 0;
    case 'End':
      return last;
    default:
      return null;
  }
}

/** The row that holds a picture, by binary search. */
export function rowOf(index: number, rows: readonly Row[]): number {
  let low = 0;
  let high = rows.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((rows[middle]?.boxes[0]?.index ?? Infinity) <= index) low = middle;
    else high = middle - 1;
  }
  return low;
}

function vertically(index: number, by: number, rows: readonly Row[]): number | null {
  const from = rowOf(index, rows);
  const to = Math.min(rows.length - 1, Math.max(0, from + by));
  const box = rows[from]?.boxes.find((candidate) => candidate.index === index);
  const target = rows[to];
  if (box === undefined || target === undefined || to === from) return null;
  const middle = box.left + box.width / 2;
  const distance = (other: Box) => Math.abs(other.left + other.width / 2 - middle);
  return target.boxes.reduce((best, other) => (distance(other) < distance(best) ? other : best)).index;
}
