// The page begins a trace with each request (https://www.w3.org/TR/trace-context/), so that what follows from it on the
// servers can be found by the id that was sent. Which traces are kept is not known here: `tracestate` leaves it to them.

export function traceHeaders(): Record<string, string> {
  return { traceparent: `00-${hex(16)}-${hex(8)}-01`, tracestate: 'imagesearch=page' };
}

function hex(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(random, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
