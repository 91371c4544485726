// The three ways in which a request ends badly.
import type { Problem } from './types';

/** The server understood and said no. */
export class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(problem.detail ?? problem.title);
    this.name = 'ApiError';
    this.problem = problem;
  }

  /** The last part of the problem's type: `not-found`, `too-large`, … */
  get slug(): string {
    return problemSlug(this.problem);
  }
}

/** No answer, or one that says that it can't be given now: worth another try. */
export class AwayError extends Error {
  readonly retryAfterMs: number | null;

  constructor(retryAfterMs: number | null = null) {
    super('the server cannot be reached');
    this.name = 'AwayError';
    this.retryAfterMs = retryAfterMs;
  }
}

/** The visitor closed the question for a key. */
export class KeyDeclinedError extends Error {
  constructor() {
    super('a key is needed for this');
    this.name = 'KeyDeclinedError';
  }
}

export function problemSlug(problem: Problem): string {
  return problem.type.split('/').at(-1) ?? '';
}

const AWAY_STATUSES = new Set([502, 503, 504]);

/** What a response that isn't a success means. */
export function errorOf(status: number, retryAfter: string | null, body: unknown): ApiError | AwayError {
  if (AWAY_STATUSES.has(status)) return new AwayError(retryAfterMs(retryAfter));
  if (isProblem(body)) return new ApiError(body);
  return new ApiError({ type: 'about:blank', title: `The server answered with status ${status}.`, status });
}

/** `Retry-After` in seconds, as milliseconds; our servers don't send its date form. */
export function retryAfterMs(header: string | null): number | null {
  const seconds = Number(header);
  return header !== null && Number.isFinite(seconds) ? seconds * 1000 : null;
}

function isProblem(body: unknown): body is Problem {
  return typeof body === 'object' && body !== null && 'type' in body && 'title' in body;
}
