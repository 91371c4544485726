import { setTimeout as pause } from 'node:timers/promises';

/** Waits until a condition holds; errors in it count as "not yet", the last one is told when time is up. */
export async function until(what, condition, { forMs = 60_000 } = {}) {
  const end = Date.now() + forMs;
  let fault = null;
  while (Date.now() < end) {
    try {
      const value = await condition();
      if (value) return value;
      fault = null;
    } catch (error) {
      fault = error;
    }
    await pause(50);
  }
  throw new Error(`waited ${forMs / 1000} s in vain until ${what}`, {
    cause: fault,
  });
}
