// Pictures that a search is made by and that only this page has: pasted, dropped or picked, not in the collection.
import { getImage } from '../api/endpoints';
import { hashFile } from '../lib/hash';

export interface QueryPicture {
  /** As sent: scaled down when it was large. */
  blob: Blob;
  name: string;
  /** Object URL of the picture, for the chip. */
  url: string;
}

const pictures = new Map<string, QueryPicture>();

export function queryPicture(id: string): QueryPicture | undefined {
  return pictures.get(id);
}

/**
 * Gives the id to search by. It is the picture's image id wherever that can be told, so that the address can be shared
 * when the picture is in the collection, and is good on this page in any case.
 */
export async function takePicture(file: File): Promise<string> {
  const hash = await hashFile(file);
  const id = hash ?? `page-${crypto.getRandomValues(new Uint32Array(2)).join('')}`;
  if (hash !== null && (await isInCollection(hash))) return id;
  if (!pictures.has(id)) {
    const blob = await scaledDown(file);
    pictures.set(id, { blob, name: file.name, url: URL.createObjectURL(file) });
  }
  return id;
}

async function isInCollection(imageId: string): Promise<boolean> {
  try {
    await getImage(imageId);
    return true;
  } catch {
    // Not there, or it can't be told now: the bytes are at hand either way.
    return false;
  }
}

/** The model looks at a few hundred pixels; more would only make each search slow to send. */
const LARGE_BYTES = 1_000_000;
const MAX_SIDE_PX = 1024;

async function scaledDown(file: File): Promise<Blob> {
  if (file.size <= LARGE_BYTES) return file;
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, MAX_SIDE_PX / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement('canvas');
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext('2d');
    if (context === null) return file;
    context.imageSmoothingQuality = 'high';
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return await new Promise((resolve) => {
      canvas.toBlob((blob) => resolve(blob ?? file), 'image/jpeg', 0.92);
    });
  } catch {
    // A type that the browser can't read; the server may.
    return file;
  }
}
