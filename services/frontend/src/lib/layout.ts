// Justified rows: every picture whole, every row but the last as wide as the page.

export interface Box {
  /** Position in the list of pictures. */
  index: number;
  left: number;
  width: number;
}

export interface Row {
  top: number;
  height: number;
  boxes: readonly Box[];
}

export interface LayoutOptions {
  /** All in CSS pixels. */
  width: number;
  targetHeight: number;
  gap: number;
}

/** Panoramas and needles get a box of a bearable shape and are shown whole inside it. */
const MIN_ASPECT = 0.4;
const MAX_ASPECT = 3.5;
/** A row may grow to this much of the target before it takes one more picture instead. */
const MAX_STRETCH = 1.4;

/**
 * Lays pictures of these aspect ratios (width by height) in rows. Greedy and stable: pictures added at the end
 * change the last row only. Pure, linear in the number of pictures.
 */
export function justify(aspects: readonly number[], options: LayoutOptions): Row[] {
  const rows: Row[] = [];
  if (options.width <= 0) return rows;
  let top = 0;
  let start = 0;
  while (start < aspects.length) {
    const { end, height } = rowFrom(aspects, start, options);
    rows.push({ top, height, boxes: boxesOf(aspects, start, end, height, options) });
    top += height + options.gap;
    start = end;
  }
  return rows;
}

/** Height of all rows together, in pixels. */
export function totalHeight(rows: readonly Row[]): number {
  const last = rows.at(-1);
  return last === undefined ? 0 : last.top + last.height;
}

function rowFrom(aspects: readonly number[], start: number, options: LayoutOptions) {
  let sum = 0;
  for (let end = start + 1; end <= aspects.length; end += 1) {
    const before = heightOf(sum, end - start - 1, options);
    sum += shapeOf(aspects[end - 1]);
    const height = heightOf(sum, end - start, options);
    if (height > options.targetHeight) continue;
    // One picture fewer makes a higher row; take it when it comes closer to the target.
    const tooHigh = before / options.targetHeight;
    const tooLow = options.targetHeight / height;
    if (tooHigh <= MAX_STRETCH && tooHigh < tooLow) return { end: end - 1, height: Math.round(before) };
    return { end, height: Math.max(1, Math.round(height)) };
  }
  // The last row isn't stretched.
  return { end: aspects.length, height: options.targetHeight };
}

/** Height at which `count` pictures with this sum of aspect ratios fill the width. */
function heightOf(sum: number, count: number, { width, gap }: LayoutOptions): number {
  return count === 0 ? Infinity : (width - gap * (count - 1)) / sum;
}

function boxesOf(
  aspects: readonly number[],
  start: number,
  end: number,
  height: number,
  { width, gap, targetHeight }: LayoutOptions,
): Box[] {
  const shapes = aspects.slice(start, end).map(shapeOf);
  const sum = shapes.reduce((total, shape) => total + shape, 0);
  const room = width - gap * (shapes.length - 1);
  const isFull = end < aspects.length || room / sum <= targetHeight;
  const scale = isFull ? room / sum : height;
  // Edges are rounded, not widths, so that the rounding never adds up and the right edge is straight.
  let used = 0;
  return shapes.map((shape, offset) => {
    const left = Math.round(used) + gap * offset;
    used += shape * scale;
    return { index: start + offset, left, width: Math.max(1, Math.round(used) + gap * offset - left) };
  });
}

function shapeOf(aspect: number | undefined): number {
  const known = aspect !== undefined && Number.isFinite(aspect) && aspect > 0 ? aspect : 4 / 3;
  return Math.min(MAX_ASPECT, Math.max(MIN_ASPECT, known));
}
