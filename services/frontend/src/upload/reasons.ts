// Why a picture wasn't taken, and what to do: in words for people. Pure.
import { problemSlug } from '../api/errors';
import type { FailureCode, Problem, Task } from '../api/types';

export interface Reason {
  /** What is wrong and what to do. */
  text: string;
  /** Trying the same file again may help. */
  canRetry: boolean;
}

const TRY_AGAIN = 'Try again; if it keeps failing, the server’s log says more.';

const FAILURES: Record<FailureCode, Reason> = {
  unsupported_type: {
    text: 'This isn’t a picture of a type that can be read. Save it as JPEG, PNG or WebP and add it again.',
    canRetry: false,
  },
  too_large: {
    text: 'This picture is larger than the server takes. Scale it down and add it again.',
    canRetry: false,
  },
  corrupt: {
    text: 'This file is damaged and can’t be opened. Add it again from the original.',
    canRetry: false,
  },
  unusable_vector: {
    text: 'The model can’t make sense of this picture, so a search couldn’t find it. Try another version of it.',
    canRetry: false,
  },
  address_refused: {
    text: 'The server may not fetch from this address. Download the picture and add it as a file.',
    canRetry: false,
  },
  fetch_failed: {
    text: 'This address gave no picture. Check that it opens in the browser and try again, or add it as a file.',
    canRetry: true,
  },
  original_missing: { text: 'The server no longer has this file. Add it again.', canRetry: true },
  retries_exhausted: { text: `The server tried several times and gave up. ${TRY_AGAIN}`, canRetry: true },
  internal: { text: `Something went wrong on the server. ${TRY_AGAIN}`, canRetry: true },
};

const PROBLEMS: Record<string, FailureCode> = {
  'unsupported-type': 'unsupported_type',
  'too-large': 'too_large',
  unprocessable: 'corrupt',
};

export const UNREADABLE: Reason = {
  text: 'The browser couldn’t read this file. It may have been moved or deleted; choose it again.',
  canRetry: true,
};

export const INTERRUPTED: Reason = {
  text: 'The page was closed before this file was sent. Choose it again.',
  canRetry: false,
};

export const KEY_DECLINED: Reason = {
  text: 'Adding pictures needs a key. Try again to enter one.',
  canRetry: true,
};

export const TASK_GONE: Reason = {
  text: 'The server no longer knows of this file. Search for it, or add it again.',
  canRetry: true,
};

/** The reason of a task that failed. Our words say what to do; the server's say what is special about this file. */
export function reasonOfFailure(error: Task['error']): Reason {
  if (error === undefined) return FAILURES.internal;
  return detailed(FAILURES[error.code], error.detail);
}

/** The reason of a file, or of a whole request, that was refused at once. */
export function reasonOfProblem(problem: Problem | undefined): Reason {
  if (problem === undefined) return FAILURES.internal;
  const slug = problemSlug(problem);
  if (slug === 'forbidden') {
    return {
      text: 'The key that you signed in with can’t add pictures. Sign in with one that can.',
      canRetry: true,
    };
  }
  const code = PROBLEMS[slug];
  return detailed(code === undefined ? undefined : FAILURES[code], problem.detail ?? problem.title);
}

/** The tray shows the address already. */
const REPEATS_ADDRESS = /^https?:\/\/\S+ cannot be fetched: /;

function detailed(known: Reason | undefined, detail: string): Reason {
  const sentence = asSentence(detail.replace(REPEATS_ADDRESS, '').replaceAll('`', ''));
  if (known === undefined) return { text: `${sentence} ${TRY_AGAIN}`.trim(), canRetry: true };
  return { ...known, text: sentence === '' ? known.text : `${known.text} (${sentence.replace(/\.$/, '')})` };
}

/** The server's error text is lower case without a full stop. */
function asSentence(text: string): string {
  const trimmed = text.trim();
  if (trimmed === '') return '';
  const sentence = trimmed.charAt(0).toUpperCase() + trimmed.slice(1);
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
