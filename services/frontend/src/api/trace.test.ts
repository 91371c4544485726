import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { beginTrace, sendSpans } from './trace';

const KEPT = 'traceparent;desc="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"';

const post = vi.fn(() => Promise.reject(new Error('away')));

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('fetch', post);
  post.mockClear();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function sent(): { traceparent: string; action: string; duration_ms: number; status: number }[][] {
  return (post.mock.calls as unknown as [string, RequestInit][]).map(
    ([, { body }]) => (JSON.parse(body as string) as { spans: ReturnType<typeof sent>[0] }).spans,
  );
}

test('each request begins a trace of its own, in the form that servers read', () => {
  const sent = Array.from({ length: 100 }, () => beginTrace().headers.traceparent);
  for (const header of sent) expect(header).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(new Set(sent).size).toBe(sent.length);
});

test('the part of the page in traces that are kept is sent, some together', () => {
  const search = beginTrace('search');
  const upload = beginTrace('upload');
  vi.advanceTimersByTime(40);
  search.end(200, `db;dur=1, ${KEPT}`);
  upload.end(202, KEPT);
  beginTrace('search').end(200, null);
  beginTrace().end(200, KEPT);
  vi.advanceTimersByTime(2000);
  expect(sent()).toEqual([
    [
      expect.objectContaining({ traceparent: search.headers.traceparent, action: 'search', status: 200 }),
      expect.objectContaining({ traceparent: upload.headers.traceparent, action: 'upload', status: 202 }),
    ],
  ]);
  expect(sent()[0]?.[0]?.duration_ms).toBeGreaterThanOrEqual(40);
});

test('what was not sent yet goes out with the page', () => {
  beginTrace('search').end(200, KEPT);
  sendSpans();
  sendSpans();
  expect(sent()).toHaveLength(1);
});

test('a burst is sent in pieces that a server takes', () => {
  for (let number = 0; number < 100; number += 1) beginTrace('upload').end(202, KEPT);
  vi.advanceTimersByTime(2000);
  expect(sent().map((spans) => spans.length)).toEqual([64, 36]);
});
