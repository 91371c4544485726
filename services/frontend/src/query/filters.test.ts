import { describe, expect, it } from 'vitest';
import { FILTER_WORDS, filterExpression, NO_FILTERS, quote, withoutFilter, type Filters } from './filters';

const now = new Date(2026, 10, 25, 15, 30);
const expression = (filters: Partial<Filters>) => filterExpression({ ...NO_FILTERS, ...filters }, now);
const midnight = (year: number, month: number, day: number) => new Date(year, month - 1, day).toISOString();

describe('filterExpression', () => {
  it('is empty when nothing is chosen', () => {
    expect(expression({})).toBe('');
  });

  it('asks for one type, or for any of several', () => {
    expect(expression({ types: ['png'] })).toBe('content_type = "image/png"');
    expect(expression({ types: ['png', 'webp'] })).toBe(
      '(content_type = "image/png" OR content_type = "image/webp")',
    );
  });

  it('tells orientations apart without a gap', () => {
    expect(expression({ orientation: 'landscape' })).toBe('aspect_ratio > 1.05');
    expect(expression({ orientation: 'square' })).toBe('aspect_ratio >= 0.9524 AND aspect_ratio <= 1.05');
    expect(expression({ orientation: 'portrait' })).toBe('aspect_ratio < 0.9524');
  });

  it('goes by the longer side for sizes', () => {
    expect(expression({ size: 'large' })).toBe('(width >= 2000 OR height >= 2000)');
    expect(expression({ size: 'small' })).toBe('width < 800 AND height < 800');
  });

  it('begins periods at the visitor’s midnight, so that a query stays the same all day', () => {
    expect(expression({ period: 'day' })).toBe(`created >= "${midnight(2026, 11, 25)}"`);
    expect(expression({ period: 'week' })).toBe(`created >= "${midnight(2026, 11, 18)}"`);
  });

  it('includes both days of a range', () => {
    expect(expression({ from: '2026-01-31', to: '2026-01-31' })).toBe(
      `created >= "${midnight(2026, 1, 31)}" AND created < "${midnight(2026, 2, 1)}"`,
    );
  });

  it('joins everything and escapes what people write', () => {
    expect(expression({ size: 'large', tags: ['cat', 'say "hi" \\'] })).toBe(
      '(width >= 2000 OR height >= 2000) AND tags:"cat" AND tags:"say \\"hi\\" \\\\"',
    );
    expect(quote('" OR tags:*')).toBe('"\\" OR tags:*"');
  });
});

describe('the words of a chip', () => {
  it('say the choice plainly', () => {
    expect(FILTER_WORDS.types({ ...NO_FILTERS, types: ['jpeg', 'png'] })).toBe('JPEG or PNG');
    expect(FILTER_WORDS.added({ ...NO_FILTERS, period: 'week' })).toBe('Added in the past week');
    expect(FILTER_WORDS.added({ ...NO_FILTERS, from: '2026-01-01' })).toBe('Added since 2026-01-01');
    expect(FILTER_WORDS.tags({ ...NO_FILTERS, tags: ['cat', 'pet'] })).toBe('Tagged cat, pet');
    expect(FILTER_WORDS.size(NO_FILTERS)).toBeNull();
  });

  it('go when the filter is removed, the others stay', () => {
    const filters: Filters = { ...NO_FILTERS, period: 'day', from: '2026-01-01', tags: ['cat'] };
    expect(withoutFilter(filters, 'added')).toEqual({ ...NO_FILTERS, tags: ['cat'] });
    expect(withoutFilter(filters, 'tags').tags).toEqual([]);
  });
});
