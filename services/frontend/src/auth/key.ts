// Asking for an API key: once, whoever needs it, and everybody waits for the one answer.
import { KeyDeclinedError } from '../api/errors';
import { createStore } from '../lib/store';

export const keyQuestion = createStore<'none' | 'asked'>('none');

let waiting: { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } | null = null;

/** Resolves when the visitor has signed in; rejects with `KeyDeclinedError` when they would rather not. */
export function askForKey(): Promise<void> {
  if (waiting === null) {
    let resolve = () => {};
    let reject: (error: Error) => void = () => {};
    const promise = new Promise<void>((onGiven, onDeclined) => {
      resolve = onGiven;
      reject = onDeclined;
    });
    waiting = { promise, resolve, reject };
    keyQuestion.set('asked');
  }
  return waiting.promise;
}

export function keyGiven(): void {
  waiting?.resolve();
  settle();
}

export function keyDeclined(): void {
  waiting?.reject(new KeyDeclinedError());
  settle();
}

function settle(): void {
  waiting = null;
  keyQuestion.set('none');
}
