// The filters that the page offers: in plain words for people, in the filter language (AIP-160) for the server.

export const IMAGE_TYPES = {
  jpeg: 'JPEG',
  png: 'PNG',
  webp: 'WebP',
  gif: 'GIF',
  avif: 'AVIF',
  tiff: 'TIFF',
  bmp: 'BMP',
} as const;
export const ORIENTATIONS = { landscape: 'Landscape', portrait: 'Portrait', square: 'Square' } as const;
export const SIZES = { large: 'Large', medium: 'Medium', small: 'Small' } as const;
export const PERIODS = { day: 'Today', week: 'Past week', month: 'Past month', year: 'Past year' } as const;

export type ImageType = keyof typeof IMAGE_TYPES;
export type Orientation = keyof typeof ORIENTATIONS;
export type Size = keyof typeof SIZES;
export type Period = keyof typeof PERIODS;

export interface Filters {
  types: readonly ImageType[];
  orientation: Orientation | null;
  size: Size | null;
  period: Period | null;
  /** Days as YYYY-MM-DD, both included; used when there is no period. */
  from: string | null;
  to: string | null;
  tags: readonly string[];
}

export const NO_FILTERS: Filters = {
  types: [],
  orientation: null,
  size: null,
  period: null,
  from: null,
  to: null,
  tags: [],
};

export function hasFilters(filters: Filters): boolean {
  return filterExpression(filters, new Date()) !== '';
}

/** The longer side decides: from LARGE_PX on large, below SMALL_PX small. */
const LARGE_PX = 2000;
const SMALL_PX = 800;
/** Aspect ratios within a twentieth of 1 pass for square. */
const SQUARE_MAX = 1.05;
const SQUARE_MIN = 1 / SQUARE_MAX;

/** The whole filter as the server reads it; empty when nothing is chosen. `now` gives the periods their start. */
export function filterExpression(filters: Filters, now: Date): string {
  const terms = [
    typeTerm(filters.types),
    orientationTerm(filters.orientation),
    sizeTerm(filters.size),
    ...dateTerms(filters, now),
    ...filters.tags.map((tag) => `tags:${quote(tag)}`),
  ];
  return terms.filter((term) => term !== '').join(' AND ');
}

/** A string of the filter language. */
export function quote(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
}

function typeTerm(types: readonly ImageType[]): string {
  const terms = types.map((type) => `content_type = "image/${type}"`);
  return terms.length > 1 ? `(${terms.join(' OR ')})` : (terms[0] ?? '');
}

function orientationTerm(orientation: Orientation | null): string {
  switch (orientation) {
    case 'landscape':
      return `aspect_ratio > ${SQUARE_MAX}`;
    case 'portrait':
      return `aspect_ratio < ${SQUARE_MIN.toFixed(4)}`;
    case 'square':
      return `aspect_ratio >= ${SQUARE_MIN.toFixed(4)} AND aspect_ratio <= ${SQUARE_MAX}`;
    case null:
      return '';
  }
}

function sizeTerm(size: Size | null): string {
  const large = `(width >= ${LARGE_PX} OR height >= ${LARGE_PX})`;
  const small = `width < ${SMALL_PX} AND height < ${SMALL_PX}`;
  switch (size) {
    case 'large':
      return large;
    case 'medium':
      return `width < ${LARGE_PX} AND height < ${LARGE_PX} AND (width >= ${SMALL_PX} OR height >= ${SMALL_PX})`;
    case 'small':
      return small;
    case null:
      return '';
  }
}

const PERIOD_DAYS: Record<Period, number> = { day: 0, week: 7, month: 30, year: 365 };

function dateTerms(filters: Filters, now: Date): string[] {
  if (filters.period !== null) {
    return [`created >= ${quote(startOfDay(now, -PERIOD_DAYS[filters.period]))}`];
  }
  const terms = [];
  if (filters.from !== null) terms.push(`created >= ${quote(startOfDay(dayOf(filters.from), 0))}`);
  if (filters.to !== null) terms.push(`created < ${quote(startOfDay(dayOf(filters.to), 1))}`);
  return terms;
}

/** Midnight of the visitor's day, `days` later, as RFC 3339. */
function startOfDay(date: Date, days: number): string {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days).toISOString();
}

function dayOf(day: string): Date {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  return new Date(year, month - 1, date);
}

/** A filter as its chip says it; null when it is not set. */
export const FILTER_WORDS = {
  types: (filters: Filters) =>
    filters.types.length > 0 ? filters.types.map((type) => IMAGE_TYPES[type]).join(' or ') : null,
  orientation: (filters: Filters) =>
    filters.orientation === null ? null : ORIENTATIONS[filters.orientation],
  size: (filters: Filters) => (filters.size === null ? null : SIZES[filters.size]),
  added: (filters: Filters) => {
    if (filters.period === 'day') return 'Added today';
    if (filters.period !== null) return `Added in the ${PERIODS[filters.period].toLowerCase()}`;
    if (filters.from !== null && filters.to !== null) return `Added ${filters.from} to ${filters.to}`;
    if (filters.from !== null) return `Added since ${filters.from}`;
    return filters.to === null ? null : `Added until ${filters.to}`;
  },
  tags: (filters: Filters) => (filters.tags.length > 0 ? `Tagged ${filters.tags.join(', ')}` : null),
} as const;

export type FilterName = keyof typeof FILTER_WORDS;

/** The filters without one of them. */
export function withoutFilter(filters: Filters, name: FilterName): Filters {
  if (name === 'added') return { ...filters, period: null, from: null, to: null };
  return { ...filters, [name]: NO_FILTERS[name] };
}
