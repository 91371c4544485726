import { expect, it } from 'vitest';
import { nextOffset, SEARCH_WINDOW } from './pages';

it('goes on while pages are full, and never past the window', () => {
  expect(nextOffset(0, 100, 100)).toEqual({ offset: 100 });
  expect(nextOffset(100, 100, 40)).toBeNull();
  expect(nextOffset(SEARCH_WINDOW - 84, 84, 84)).toBeNull();
});
