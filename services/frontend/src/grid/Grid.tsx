import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react';
import type { ImageDocument } from '../api/types';
import { aspectOf } from '../lib/images';
import { justify, totalHeight, type Row } from '../lib/layout';
import { createStore } from '../lib/store';
import { linkTo } from '../query/navigation';
import styles from './Grid.module.css';
import { moveBy, rowOf } from './movement';
import { Tile } from './Tile';
import { useWidth } from './useWidth';

interface Props {
  images: readonly ImageDocument[];
  isOld: boolean;
  onOpen: (imageId: string) => void;
  onDelete: (imageId: string) => void;
  onEscape: () => void;
  onNearEnd: () => void;
}

/** Set to move the focus to a picture, wherever it lies; each request is a new object. */
export const gridFocus = createStore<{ imageId: string } | null>(null);

/** Below so many rows left, the next page is fetched. */
const ROWS_AHEAD = 6;
/** What the sticky header covers, in pixels. */
const HEADER_PX = 130;

export function Grid({ images, isOld, onOpen, onDelete, onEscape, onNearEnd }: Props) {
  const list = useRef<HTMLUListElement>(null);
  const { width, top } = useWidth(list);
  const isNarrow = width < 600;
  const gap = isNarrow ? 4 : 8;
  const rows = useMemo(
    () => justify(images.map(aspectOf), { width, gap, targetHeight: isNarrow ? 150 : 220 }),
    [images, width, gap, isNarrow],
  );
  const [active, setActive] = useState(0);
  const activeIndex = Math.min(active, Math.max(0, images.length - 1));
  const visible = useVisibleRows(rows, gap, top, activeIndex);
  const focusTile = useTileFocus(list, images, (index) => {
    setActive(index);
    visible.scrollTo(rowOf(index, rows));
  });

  const lastVisible = visible.rows.at(-1) ?? 0;
  const isNearEnd = rows.length > 0 && lastVisible >= rows.length - ROWS_AHEAD;
  useEffect(() => {
    if (isNearEnd) onNearEnd();
  }, [isNearEnd, images.length, onNearEnd]);

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const image = images[activeIndex];
    if (event.key === 'Escape') onEscape();
    else if (event.key === 'Delete' && image !== undefined) onDelete(image.image_id);
    else {
      const next = moveBy(event.key, activeIndex, rows, 3);
      if (next === null) return;
      focusTile(next);
    }
    event.preventDefault();
  };

  return (
    <ul
      ref={list}
      className={styles.grid}
      style={{ height: totalHeight(rows) }}
      aria-label="Pictures"
      data-old={isOld || undefined}
      onKeyDown={onKeyDown}
    >
      {visible.rows.flatMap((rowIndex) => {
        const row = rows[rowIndex];
        return (row?.boxes ?? []).map((box) => {
          const image = images[box.index];
          if (row === undefined || image === undefined) return null;
          return (
            <Tile
              key={image.image_id}
              image={image}
              href={linkTo(image.image_id)}
              box={box}
              top={row.top}
              height={row.height}
              total={images.length}
              bestScore={images[0]?.score ?? 0}
              isTabStop={box.index === activeIndex}
              onFocus={setActive}
              onOpen={onOpen}
            />
          );
        });
      })}
    </ul>
  );
}

/** The rows in and near the window, and always the one that can have the focus. */
function useVisibleRows(rows: readonly Row[], gap: number, top: number, activeIndex: number) {
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: (index) => (rows[index]?.height ?? 0) + gap,
    overscan: 4,
    scrollMargin: top,
    scrollPaddingStart: HEADER_PX,
    scrollPaddingEnd: 24,
  });
  // Heights are known exactly; they only change with the layout.
  useLayoutEffect(() => virtualizer.measure(), [virtualizer, rows]);
  const visible = virtualizer.getVirtualItems().map((item) => item.index);
  const activeRow = rowOf(activeIndex, rows);
  if (rows.length > 0 && !visible.includes(activeRow)) visible.push(activeRow);
  return {
    rows: visible.sort((one, other) => one - other),
    scrollTo: (row: number) => virtualizer.scrollToIndex(row, { align: 'auto' }),
  };
}

/** Focuses a tile that may have to be brought into the document first. */
function useTileFocus(
  list: React.RefObject<HTMLUListElement | null>,
  images: readonly ImageDocument[],
  show: (index: number) => void,
) {
  const [wanted, setWanted] = useState<{ index: number } | null>(null);
  const focusTile = (index: number) => {
    show(index);
    setWanted({ index });
  };
  useEffect(() =>
    gridFocus.subscribe(() => {
      const index = images.findIndex((image) => image.image_id === gridFocus.get()?.imageId);
      if (index >= 0) focusTile(index);
    }),
  );
  useEffect(() => {
    if (wanted === null) return;
    list.current
      ?.querySelector<HTMLElement>(`[data-index="${wanted.index}"]`)
      ?.focus({ preventScroll: true });
  }, [wanted, list]);
  return focusTile;
}
