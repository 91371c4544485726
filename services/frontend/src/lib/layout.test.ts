import { describe, expect, it } from 'vitest';
import { justify, totalHeight } from './layout';

const options = { width: 1200, targetHeight: 220, gap: 8 };
const mixed = Array.from({ length: 500 }, (_, index) => [1.5, 0.66, 1.78, 1, 3, 0.4][index % 6] ?? 1);

describe('justify', () => {
  it('ends every row but the last at the right edge, to the pixel', () => {
    const rows = justify(mixed, options);
    for (const row of rows.slice(0, -1)) {
      const last = row.boxes.at(-1);
      expect((last?.left ?? 0) + (last?.width ?? 0)).toBe(options.width);
    }
  });

  it('keeps each picture once and in order', () => {
    const indices = justify(mixed, options).flatMap((row) => row.boxes.map((box) => box.index));
    expect(indices).toEqual(mixed.map((_, index) => index));
  });

  it('keeps rows near the target height', () => {
    for (const row of justify(mixed, options).slice(0, -1)) {
      expect(row.height).toBeGreaterThan(options.targetHeight * 0.6);
      expect(row.height).toBeLessThanOrEqual(options.targetHeight * 1.4);
    }
  });

  it('crops nothing: boxes have the shape of their picture', () => {
    for (const row of justify(mixed, options)) {
      for (const box of row.boxes) {
        expect(box.width / row.height).toBeCloseTo(mixed[box.index] ?? 0, 1);
      }
    }
  });

  it('does not stretch a last row that is not full', () => {
    const [row] = justify([1, 1], options);
    expect(row?.height).toBe(220);
    expect(row?.boxes.map((box) => box.width)).toEqual([220, 220]);
  });

  it('changes only the last row when pictures are added', () => {
    const before = justify(mixed.slice(0, 300), options);
    const after = justify(mixed, options);
    expect(after.slice(0, before.length - 1)).toEqual(before.slice(0, -1));
  });

  it.each([0.001, 500, Number.NaN, 0])('bears a shape of %f', (aspect) => {
    const [row] = justify([aspect], { ...options, width: 336 });
    expect(row?.boxes[0]?.width).toBeGreaterThan(20);
    expect(row?.boxes[0]?.width).toBeLessThanOrEqual(336);
  });

  it('fits a phone and tells the height of it all', () => {
    const rows = justify(mixed, { width: 336, targetHeight: 150, gap: 4 });
    const last = rows.at(-1);
    expect(totalHeight(rows)).toBe((last?.top ?? 0) + (last?.height ?? 0));
    expect(rows.every((row) => row.boxes.every((box) => box.left + box.width <= 336))).toBe(true);
  });

  it('is empty without pictures or without width', () => {
    expect(justify([], options)).toEqual([]);
    expect(justify([1], { ...options, width: 0 })).toEqual([]);
    expect(totalHeight([])).toBe(0);
  });
});
