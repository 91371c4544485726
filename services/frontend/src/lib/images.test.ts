import { expect, it } from 'vitest';
import { ladderWidth, sourceSet } from './images';

it('snaps widths up the ladder', () => {
  expect([1, 64, 65, 300, 2560, 9000].map(ladderWidth)).toEqual([64, 64, 128, 320, 2560, 2560]);
});

it('offers the widths that a screen can use and the original has', () => {
  expect(sourceSet('a', 300, 4000)).toBe(
    '/images/a?w=320&format=webp 320w, /images/a?w=480&format=webp 480w, /images/a?w=640&format=webp 640w, /images/a?w=960&format=webp 960w',
  );
  expect(sourceSet('a', 300, 500)).toMatch(/640w$/);
  expect(sourceSet('a', 300, 50)).toBe('/images/a?w=64&format=webp 64w');
});
