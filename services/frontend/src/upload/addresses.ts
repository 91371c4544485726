// Pictures on the web: the addresses in a text, and the question for them.
import { createStore } from '../lib/store';

export interface Addresses {
  /** Each once, in their order. */
  urls: string[];
  /** What stands between them and is no address that can be fetched. */
  wrong: string[];
}

/** What the question for addresses begins with; null while it isn't asked. */
export const addressQuestion = createStore<string | null>(null);

export function askForAddresses(text = ''): void {
  addressQuestion.set(text);
}

/** Lists come with quotes, angle brackets and commas around their entries. */
const AROUND = /^[<"'“(]+|[>"'”),;]+$/g;

/** Reads a list of addresses, divided by spaces or lines. Pure. */
export function addressesIn(text: string): Addresses {
  const words = text
    .split(/\s+/)
    .map((word) => word.replace(AROUND, ''))
    .filter((word) => word !== '');
  const urls = new Set<string>();
  const wrong = [];
  for (const word of words) {
    if (isAddress(word)) urls.add(word);
    else wrong.push(word);
  }
  return { urls: [...urls], wrong };
}

/** A text of nothing but addresses, as it is copied from a browser. */
export function isAddressList(text: string): boolean {
  const { urls, wrong } = addressesIn(text);
  return urls.length > 0 && wrong.length === 0;
}

/** An address as people know it: without the part that is the same for all. */
export function shortAddress(url: string): string {
  return url.replace(/^https?:\/\/(www\.)?/i, '').replace(/\/$/, '');
}

function isAddress(word: string): boolean {
  return /^https?:\/\//i.test(word) && URL.canParse(word);
}
