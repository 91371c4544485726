// One request: JSON in, JSON out, problems as typed errors, and a key asked for when one is needed.
import { askForKey } from '../auth/key';
import { AwayError, errorOf } from './errors';
import { type Action, beginTrace } from './trace';

export interface RequestOptions {
  method?: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  body?: FormData | object;
  contentType?: string;
  signal?: AbortSignal | undefined;
  /** Lets the request outlive the page. */
  keepalive?: boolean;
  /** What the request is to the user, for its trace. */
  action?: Action;
}

/**
 * Sends a request to this origin and gives the parsed answer (`undefined` when there is none).
 * Throws `ApiError`, `AwayError`, `KeyDeclinedError`, or the signal's own abort.
 */
export async function request<T>(path: string, options: RequestOptions = {}): Promise<T> {
  let response = await send(path, options);
  if (response.status === 401) {
    await askForKey();
    response = await send(path, options);
  }
  return answerOf<T>(response);
}

/** As `request`, but a 401 is an error like any other. */
export async function requestOnce<T>(path: string, options: RequestOptions = {}): Promise<T> {
  return answerOf<T>(await send(path, options));
}

async function send(path: string, options: RequestOptions): Promise<Response> {
  const trace = beginTrace(options.action);
  const { headers } = trace;
  const init: RequestInit = { method: options.method ?? 'GET', signal: options.signal ?? null, headers };
  if (options.keepalive) init.keepalive = true;
  if (options.body instanceof FormData) {
    init.body = options.body;
  } else if (options.body !== undefined) {
    init.body = JSON.stringify(options.body);
    headers['content-type'] = options.contentType ?? 'application/json';
  }
  try {
    const response = await fetch(path, init);
    trace.end(response.status, response.headers.get('server-timing'));
    return response;
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new AwayError();
  }
}

async function answerOf<T>(response: Response): Promise<T> {
  const body: unknown = await response.json().catch(() => undefined);
  if (!response.ok) throw errorOf(response.status, response.headers.get('retry-after'), body);
  return body as T;
}
