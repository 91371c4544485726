// One picture's way to the server. A file is hashed, asked for, and sent if it isn't there; an address is handed over as
// it is. Either waits while the server can't take it.
import { getImage } from '../api/endpoints';
import { ApiError, AwayError, KeyDeclinedError } from '../api/errors';
import { onReturn } from '../connection/connection';
import { hashFile } from '../lib/hash';
import { backoffMs, sleep } from '../lib/time';
import type { UploadEvent } from './machine';
import { KEY_DECLINED, reasonOfProblem, UNREADABLE } from './reasons';
import { QueueFullError, sendSource, type Source } from './send';

type Emit = (event: UploadEvent) => void;

/** Brings a picture to the server and tells each step. Ends without a word when it is aborted. */
export async function transfer(source: Source, signal: AbortSignal, emit: Emit): Promise<void> {
  try {
    if (source instanceof File && !(await isToBeSent(source, signal, emit))) return;
    const entry = await withPatience(signal, emit, () => {
      emit({ type: 'send' });
      return sendSource(source, signal, (sent) => emit({ type: 'progress', sent }));
    });
    emit({ type: 'answer', entry });
  } catch (error) {
    if (signal.aborted) return;
    emit({ type: 'fail', reason: reasonOf(error) });
  }
}

/** Looks at a file before it is sent; tells what was found when it need not or can't be. */
async function isToBeSent(file: File, signal: AbortSignal, emit: Emit): Promise<boolean> {
  emit({ type: 'hash' });
  const imageId = await hashFile(file);
  signal.throwIfAborted();
  if (imageId !== null) {
    emit({ type: 'check', imageId });
    if (await withPatience(signal, emit, () => isThere(imageId, signal))) {
      emit({ type: 'known', imageId });
      return false;
    }
  }
  if (await isReadable(file)) return true;
  emit({ type: 'fail', reason: UNREADABLE });
  return false;
}

/** Known and indexed: it need not be sent. One that is still being worked on is for the server to judge. */
async function isThere(imageId: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await getImage(imageId, signal)).facts !== undefined;
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

/** Repeats an attempt for as long as the server is away or full. */
async function withPatience<T>(signal: AbortSignal, emit: Emit, attempt: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof QueueFullError) emit({ type: 'hold', hold: 'queue_full' });
      else if (error instanceof AwayError) emit({ type: 'hold', hold: 'server_away' });
      else throw error;
      await sleepUntilReturn(error.retryAfterMs ?? backoffMs(tries), signal);
    }
  }
}

/** Waits, but no longer than until the page finds the server back. */
async function sleepUntilReturn(ms: number, signal: AbortSignal): Promise<void> {
  const back = new AbortController();
  const end = onReturn(() => back.abort());
  await sleep(ms, AbortSignal.any([signal, back.signal])).catch(() => undefined);
  end();
  signal.throwIfAborted();
}

/** A file that was moved or deleted meanwhile would look like a server that is away. */
async function isReadable(file: File): Promise<boolean> {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}

function reasonOf(error: unknown) {
  if (error instanceof KeyDeclinedError) return KEY_DECLINED;
  return reasonOfProblem(error instanceof ApiError ? error.problem : undefined);
}
