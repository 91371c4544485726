// Sending one file, with progress: `fetch` has none for what goes out.
import { askForKey } from '../auth/key';
import { ApiError, AwayError, errorOf, retryAfterMs } from '../api/errors';
import type { IngestEntry, Problem } from '../api/types';
import { abortReason } from '../lib/time';

/** The server's queue is full; it says when to come again. */
export class QueueFullError extends Error {
  readonly retryAfterMs: number | null;

  constructor(afterMs: number | null) {
    super('the queue is full');
    this.name = 'QueueFullError';
    this.retryAfterMs = afterMs;
  }
}

/** Uploads a file and gives the server's answer for it, be it taken or refused. */
export async function sendFile(
  file: File,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<IngestEntry> {
  let answer = await post(file, signal, onProgress);
  if (answer.status === 401) {
    await askForKey();
    answer = await post(file, signal, onProgress);
  }
  const entry = answer.body.tasks?.[0];
  if (entry !== undefined) return entry;
  if (answer.status === 429) throw new QueueFullError(retryAfterMs(answer.retryAfter));
  const error = errorOf(answer.status, answer.retryAfter, answer.body);
  if (error instanceof ApiError) return { status: 'failed', name: file.name, error: error.problem };
  throw error;
}

interface Answer {
  status: number;
  retryAfter: string | null;
  body: Partial<Problem> & { tasks?: IngestEntry[] };
}

function post(file: File, signal: AbortSignal, onProgress: (share: number) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const onAbort = () => call.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    call.open('POST', '/api/v1/ingest');
    call.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    call.onload = () =>
      resolve({
        status: call.status,
        retryAfter: call.getResponseHeader('retry-after'),
        body: parsed(call.responseText),
      });
    call.onerror = () => reject(new AwayError());
    call.onabort = () => reject(abortReason(signal));
    call.onloadend = () => signal.removeEventListener('abort', onAbort);
    const body = new FormData();
    body.append('file', file, file.name);
    call.send(body);
  });
}

function parsed(text: string): Answer['body'] {
  try {
    return JSON.parse(text) as Answer['body'];
  } catch {
    return {};
  }
}
