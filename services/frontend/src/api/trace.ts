// The page begins a trace with each request (https://www.w3.org/TR/trace-context/), so that what follows from it on the
// servers can be found by the id that was sent. Which traces are kept is not known here: `tracestate` leaves it to them, and
// an answer says by `server-timing` that its trace is. Then the page sends its own part, from the click to the answer.

/** What its user did, the name of the span. */
export type Action = 'search' | 'upload';

export interface Trace {
  headers: Record<string, string>;
  /** To be called with the answer. */
  end(status: number, serverTiming: string | null): void;
}

interface Span {
  traceparent: string;
  action: Action;
  started_ms: number;
  duration_ms: number;
  status: number;
}

/** Spans are sent together, but not long after. */
const PAUSE_MS = 1000;
/** The most that a server takes at once. */
const MAX_SPANS = 64;

let ended: Span[] = [];
let timer: ReturnType<typeof setTimeout> | undefined;

/** Without an action, nothing but the id is sent. */
export function beginTrace(action?: Action): Trace {
  const traceparent = `00-${hex(16)}-${hex(8)}-01`;
  const startedMs = nowMs();
  return {
    headers: { traceparent, tracestate: 'imagesearch=page' },
    end(status, serverTiming) {
      if (action === undefined || !serverTiming?.includes('traceparent;')) return;
      const durationMs = Math.round(nowMs() - startedMs);
      ended.push({ traceparent, action, started_ms: Math.round(startedMs), duration_ms: durationMs, status });
      if (ended.length === MAX_SPANS) sendSpans();
      else timer ??= setTimeout(sendSpans, PAUSE_MS);
    },
  };
}

/** Sends what waits; at the latest when the page goes. A lost span is worth no word to whoever looks at it. */
export function sendSpans(): void {
  clearTimeout(timer);
  timer = undefined;
  if (ended.length === 0) return;
  const body = JSON.stringify({ spans: ended });
  ended = [];
  const headers = { 'content-type': 'application/json' };
  void fetch('/api/v1/session/spans', { method: 'POST', headers, body, keepalive: true }).catch(
    () => undefined,
  );
}

function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

function hex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
