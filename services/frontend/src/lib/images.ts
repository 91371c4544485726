// Addresses of pictures in the sizes that the server makes, and the blurred placeholder of each.
import { thumbHashToDataURL } from 'thumbhash';
import type { ImageDocument } from '../api/types';

const WIDEST = 2560;
/** Widths in pixels that variants come in; others are snapped up to the next. */
export const LADDER = [64, 128, 240, 320, 480, 640, 960, 1280, 1920, WIDEST] as const;

export function variantUrl(imageId: string, width: number): string {
  return `/images/${imageId}?w=${width}&format=webp`;
}

/** The next width of the ladder, or its last. */
export function ladderWidth(width: number): number {
  return LADDER.find((step) => step >= width) ?? WIDEST;
}

/**
 * `srcset` for a picture shown `width` CSS pixels wide: every useful width up to three device pixels a CSS pixel, none
 * beyond what the original has.
 */
export function sourceSet(imageId: string, width: number, originalWidth: number): string {
  const enough = ladderWidth(Math.min(width * 3, originalWidth));
  const smallest = ladderWidth(Math.min(width, originalWidth));
  return LADDER.filter((step) => step >= smallest && step <= enough)
    .map((step) => `${variantUrl(imageId, step)} ${step}w`)
    .join(', ');
}

export function aspectOf(image: ImageDocument): number {
  return image.facts === undefined ? 4 / 3 : image.facts.width / image.facts.height;
}

/** What a picture is called: what somebody wrote about it, or its file's name. */
export function titleOf(image: ImageDocument): string {
  return image.caption ?? image.name ?? 'Untitled picture';
}

const placeholders = new Map<string, string>();
const PLACEHOLDERS_KEPT = 2000;

/** The blurred placeholder as a `url(…)` for CSS; null when there is none or it can't be read. */
export function placeholderOf(image: ImageDocument): string | null {
  const hash = image.facts?.thumbhash;
  if (hash === undefined || hash === '') return null;
  const known = placeholders.get(hash);
  if (known !== undefined) return known;
  try {
    const bytes = Uint8Array.from(atob(hash), (character) => character.charCodeAt(0));
    const made = `url(${thumbHashToDataURL(bytes)})`;
    if (placeholders.size >= PLACEHOLDERS_KEPT) placeholders.clear();
    placeholders.set(hash, made);
    return made;
  } catch {
    return null;
  }
}
