import { useQuery } from '@tanstack/react-query';
import type { MouseEvent } from 'react';
import { similarTo } from '../api/endpoints';
import { pendingDeletes } from '../deletion/pending';
import { placeholderOf, sourceSet, titleOf, variantUrl } from '../lib/images';
import { useStore } from '../lib/store';
import { linkTo, openImage } from '../query/navigation';
import styles from './Details.module.css';

const SHOWN = 6;
/** CSS pixels of a side. */
const SIDE = 104;

/** The pictures nearest to this one. */
export function SimilarStrip({ imageId }: { imageId: string }) {
  const { data } = useQuery({
    queryKey: ['similar', imageId],
    queryFn: ({ signal }) => similarTo(imageId, { limit: SHOWN, offset: 0, filter: '' }, signal),
  });
  const pending = useStore(pendingDeletes);
  const images = (data?.results ?? []).filter((image) => !pending.has(image.image_id));
  if (data !== undefined && images.length === 0) return null;
  return (
    <section aria-labelledby="similar-heading" className={styles.similar}>
      <h3 id="similar-heading">Similar</h3>
      <ul>
        {images.map((image) => (
          <li key={image.image_id} style={{ backgroundImage: placeholderOf(image) ?? 'none' }}>
            <a href={linkTo(image.image_id)} onClick={(event) => open(event, image.image_id)}>
              <img
                src={variantUrl(image.image_id, 240)}
                srcSet={sourceSet(image.image_id, SIDE, image.facts?.width ?? SIDE)}
                sizes={`${SIDE * 1.5}px`}
                alt={titleOf(image)}
              />
            </a>
          </li>
        ))}
      </ul>
    </section>
  );
}

function open(event: MouseEvent, imageId: string): void {
  if (event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  openImage(imageId);
}
