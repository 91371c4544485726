// Sending one file, with progress: `fetch` has none for what goes out. Or an address, for the server to fetch.
import { askForKey } from '../auth/key';
import { ApiError, AwayError, errorOf, retryAfterMs } from '../api/errors';
import { beginTrace } from '../api/trace';
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

/** What a picture is added from: a file, or an address that the server fetches it from. */
export type Source = File | string;

/** Sends a picture and gives the server's answer for it, be it taken or refused. */
export async function sendSource(
  source: Source,
  signal: AbortSignal,
  onProgress: (share: number) => void,
): Promise<IngestEntry> {
  let answer = await post(source, signal, onProgress);
  if (answer.status === 401) {
    await askForKey();
    answer = await post(source, signal, onProgress);
  }
  const entry = answer.body.tasks?.[0];
  if (entry !== undefined) return entry;
  if (answer.status === 429) throw new QueueFullError(retryAfterMs(answer.retryAfter));
  const error = errorOf(answer.status, answer.retryAfter, answer.body);
  if (error instanceof ApiError) return { status: 'failed', error: error.problem };
  throw error;
}

interface Answer {
  status: number;
  retryAfter: string | null;
  body: Partial<Problem> & { tasks?: IngestEntry[] };
}

function post(source: Source, signal: AbortSignal, onProgress: (share: number) => void): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const call = new XMLHttpRequest();
    const trace = beginTrace('upload');
    const onAbort = () => call.abort();
    signal.addEventListener('abort', onAbort, { once: true });
    call.open('POST', '/api/v1/ingest');
    for (const [name, value] of Object.entries(trace.headers)) call.setRequestHeader(name, value);
    call.upload.onprogress = ({ loaded, total }) => onProgress(total > 0 ? loaded / total : 0);
    call.onload = () => {
      trace.end(call.status, call.getResponseHeader('server-timing'));
      resolve({
        status: call.status,
        retryAfter: call.getResponseHeader('retry-after'),
        body: parsed(call.responseText),
      });
    };
    call.onerror = () => reject(new AwayError());
    call.onabort = () => reject(abortReason(signal));
    call.onloadend = () => signal.removeEventListener('abort', onAbort);
    if (typeof source === 'string') {
      call.setRequestHeader('content-type', 'application/json');
      call.send(JSON.stringify({ urls: [source] }));
      return;
    }
    const body = new FormData();
    body.append('file', source, source.name);
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
