import { expect, test } from 'vitest';
import { traceHeaders } from './trace';

test('each request begins a trace of its own, in the form that servers read', () => {
  const sent = Array.from({ length: 100 }, () => traceHeaders().traceparent);
  for (const header of sent) expect(header).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  expect(new Set(sent).size).toBe(sent.length);
});
