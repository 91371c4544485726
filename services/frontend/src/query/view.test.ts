import { describe, expect, it } from 'vitest';
import { NO_FILTERS } from './filters';
import { formatView, HOME, parseView, type View } from './view';

describe('the address of a view', () => {
  it('is empty for the plain page', () => {
    expect(formatView(HOME)).toBe('');
    expect(parseView('')).toEqual(HOME);
  });

  it('holds the whole query and comes back as it was', () => {
    const view: View = {
      query: {
        text: 'a giraffe & more',
        like: 'ab12',
        filters: {
          types: ['jpeg', 'webp'],
          orientation: 'portrait',
          size: 'large',
          period: null,
          from: '2026-01-01',
          to: '2026-02-01',
          tags: ['zoo', 'größe, ja'],
        },
      },
      image: 'cd34',
    };
    expect(parseView(formatView(view))).toEqual(view);
  });

  it('leaves out what it does not know', () => {
    const view = parseView(
      '?type=jpeg,exe&orientation=toString&size=huge&added=never&from=yesterday&tag=&x=1',
    );
    expect(view.query.filters).toEqual({ ...NO_FILTERS, types: ['jpeg'] });
  });
});
