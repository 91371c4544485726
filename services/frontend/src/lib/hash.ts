// SHA-256 of a file, which is also its image id.

/** Larger files aren't read into memory for it. */
const MAX_BYTES = 256 * 1024 * 1024;

let worker: Worker | null = null;
let nextId = 0;
const waiting = new Map<number, (hex: string | null) => void>();

/** The id that a file will have, or null when the browser can't tell (no secure context, too large, unreadable). */
export async function hashFile(file: Blob): Promise<string | null> {
  if (!window.isSecureContext || file.size > MAX_BYTES) return null;
  const id = nextId++;
  return new Promise((resolve) => {
    waiting.set(id, resolve);
    hashWorker().postMessage({ id, file });
  });
}

function hashWorker(): Worker {
  if (worker !== null) return worker;
  worker = new Worker(new URL('./hash.worker.ts', import.meta.url), { type: 'module' });
  worker.onmessage = ({ data }: MessageEvent<{ id: number; hex: string | null }>) =>
    settle(data.id, data.hex);
  worker.onerror = () => {
    // Its script could not be loaded; the next file tries again.
    worker = null;
    for (const id of [...waiting.keys()]) settle(id, null);
  };
  return worker;
}

function settle(id: number, hex: string | null): void {
  waiting.get(id)?.(hex);
  waiting.delete(id);
}
