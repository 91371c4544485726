// Hashes files off the page's own thread, so that scrolling stays smooth.

interface HashRequest {
  id: number;
  file: Blob;
}

const worker = self as unknown as Worker;

worker.onmessage = async ({ data: { id, file } }: MessageEvent<HashRequest>) => {
  try {
    const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer());
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    worker.postMessage({ id, hex });
  } catch {
    // Unreadable or too large for memory; the upload goes on without a hash.
    worker.postMessage({ id, hex: null });
  }
};
