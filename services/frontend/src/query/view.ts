// What the page shows, as the address bar holds it: the query and the picture that is open.
import { IMAGE_TYPES, NO_FILTERS, ORIENTATIONS, PERIODS, SIZES, type Filters } from './filters';

export interface Query {
  text: string;
  /** Id of the picture to search by: an image of the collection, or one that only this page has. */
  like: string | null;
  filters: Filters;
}

export interface View {
  query: Query;
  /** Id of the picture that is open. */
  image: string | null;
}

export const HOME: View = { query: { text: '', like: null, filters: NO_FILTERS }, image: null };

/** Reads a query string. What it doesn't know it leaves out, so that an old link still opens. */
export function parseView(search: string): View {
  const parameters = new URLSearchParams(search);
  const types = (parameters.get('type') ?? '').split(',').filter((type) => isKey(IMAGE_TYPES, type));
  return {
    query: {
      text: parameters.get('q') ?? '',
      like: parameters.get('like'),
      filters: {
        types: types,
        orientation: keyOf(ORIENTATIONS, parameters.get('orientation')),
        size: keyOf(SIZES, parameters.get('size')),
        period: keyOf(PERIODS, parameters.get('added')),
        from: dayOf(parameters.get('from')),
        to: dayOf(parameters.get('to')),
        tags: parameters.getAll('tag').filter((tag) => tag !== ''),
      },
    },
    image: parameters.get('image'),
  };
}

/** The query string of a view: `?…`, or empty for the plain page. */
export function formatView({ query, image }: View): string {
  const { filters } = query;
  const parameters = new URLSearchParams();
  const put = (name: string, value: string | null) => {
    if (value !== null && value !== '') parameters.append(name, value);
  };
  put('q', query.text);
  put('like', query.like);
  put('type', filters.types.join(','));
  put('orientation', filters.orientation);
  put('size', filters.size);
  put('added', filters.period);
  put('from', filters.from);
  put('to', filters.to);
  for (const tag of filters.tags) put('tag', tag);
  put('image', image);
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

function isKey<T extends object>(record: T, key: string): key is Extract<keyof T, string> {
  return Object.hasOwn(record, key);
}

function keyOf<T extends object>(record: T, key: string | null): Extract<keyof T, string> | null {
  return key !== null && isKey(record, key) ? key : null;
}

function dayOf(text: string | null): string | null {
  return text !== null && /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : null;
}
