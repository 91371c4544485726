import { useState } from 'react';
import type { ImageDocument } from '../api/types';
import { aspectOf, ladderWidth, placeholderOf, sourceSet, titleOf, variantUrl } from '../lib/images';
import styles from './ImageDialog.module.css';

/** A usual width of the stage, in CSS pixels; smaller variants aren't worth offering. */
const STAGE_PX = 800;

/** The picture as large as its place allows, over its placeholder, without a jump. */
export function LargePicture({ image }: { image: ImageDocument }) {
  const [isThere, setIsThere] = useState(false);
  const placeholder = placeholderOf(image);
  const width = image.facts?.width ?? 1280;
  return (
    <div
      className={styles.picture}
      style={{
        aspectRatio: aspectOf(image),
        // As wide as the stage or as its height allows, never beyond the picture's own pixels.
        width: `min(100%, ${width}px, calc(var(--stage-height) * ${aspectOf(image)}))`,
      }}
    >
      <span
        className={styles.placeholder}
        style={{ backgroundImage: placeholder ?? 'none' }}
        data-there={isThere || undefined}
      />
      <img
        src={variantUrl(image.image_id, ladderWidth(Math.min(1280, width)))}
        srcSet={sourceSet(image.image_id, STAGE_PX, width)}
        sizes="(max-width: 860px) 100vw, calc(100vw - 400px)"
        alt={titleOf(image)}
        data-there={isThere || undefined}
        onLoad={() => setIsThere(true)}
      />
    </div>
  );
}
