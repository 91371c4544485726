// Numbers, sizes and dates as people read them.

const UNITS = ['bytes', 'kB', 'MB', 'GB'] as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 10 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit] ?? ''}`;
}

const numbers = new Intl.NumberFormat();

/** `1 picture`, `2,000 pictures`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${numbers.format(amount)} ${amount === 1 ? one : many}`;
}

const dates = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export function formatDate(rfc3339: string): string {
  const date = new Date(rfc3339);
  return Number.isNaN(date.getTime()) ? rfc3339 : dates.format(date);
}

/** `image/jpeg` as `JPEG`. */
export function formatType(contentType: string): string {
  const subtype = contentType.replace(/^image\//, '').replace(/^svg\+xml$/, 'svg');
  return subtype === 'webp' ? 'WebP' : subtype.toUpperCase();
}
