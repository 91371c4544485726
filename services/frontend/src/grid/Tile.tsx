import { memo, useState, type MouseEvent } from 'react';
import type { ImageDocument } from '../api/types';
import { ladderWidth, placeholderOf, sourceSet, titleOf, variantUrl } from '../lib/images';
import type { Box } from '../lib/layout';
import styles from './Grid.module.css';

interface Props {
  image: ImageDocument;
  href: string;
  box: Box;
  top: number;
  height: number;
  total: number;
  bestScore: number;
  isTabStop: boolean;
  onFocus: (index: number) => void;
  onOpen: (imageId: string) => void;
}

/** One picture of the grid, whole, over its blurred placeholder. */
export const Tile = memo(function Tile(props: Props) {
  const { image, href, box, top, height, total, bestScore, isTabStop, onFocus, onOpen } = props;
  const open = (event: MouseEvent) => {
    // A new tab or window is the browser's business.
    if (event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    onOpen(image.image_id);
  };
  return (
    <li
      className={styles.cell}
      style={{ transform: `translate(${box.left}px, ${top}px)`, width: box.width, height }}
      aria-setsize={total}
      aria-posinset={box.index + 1}
    >
      <a
        className={styles.tile}
        href={href}
        tabIndex={isTabStop ? 0 : -1}
        data-index={box.index}
        data-image={image.image_id}
        onClick={open}
        onFocus={() => onFocus(box.index)}
      >
        <Picture image={image} width={box.width} />
        {image.score !== undefined && (
          <Relevance score={image.score} relevance={image.relevance} best={bestScore} />
        )}
      </a>
    </li>
  );
});

function Picture({ image, width }: { image: ImageDocument; width: number }) {
  const [state, setState] = useState<'loading' | 'there' | 'broken'>('loading');
  const placeholder = placeholderOf(image);
  const original = image.facts?.width ?? width * 2;
  return (
    <>
      <span
        className={styles.placeholder}
        style={{ backgroundImage: placeholder ?? 'none' }}
        data-state={state}
      />
      <img
        className={styles.picture}
        data-state={state}
        src={variantUrl(image.image_id, ladderWidth(width))}
        srcSet={sourceSet(image.image_id, width, original)}
        sizes={`${width}px`}
        alt={titleOf(image)}
        decoding="async"
        draggable={false}
        onLoad={() => setState('there')}
        onError={() => setState('broken')}
      />
    </>
  );
}

interface RelevanceProps {
  score: number;
  relevance: number | undefined;
  best: number;
}

/** How well a picture fits, against the best one while that is all that is known; the number itself is for the curious. */
function Relevance({ score, relevance, best }: RelevanceProps) {
  const share = Math.max(0.04, Math.min(1, relevance ?? (best > 0 ? score / best : 1)));
  const told =
    relevance === undefined ? `Similarity ${score.toFixed(3)}` : `Relevance ${relevance.toFixed(2)}`;
  return (
    <span className={styles.relevance} aria-hidden="true" title={told}>
      <span className={styles.share} style={{ width: `${Math.round(share * 100)}%` }} />
    </span>
  );
}
