import { expect, it } from 'vitest';
import { isPicture } from './files';

it.each([
  ['IMG_1.JPG', '', true],
  ['scan', 'image/png', true],
  ['photo.heic', '', true],
  ['notes.txt', 'text/plain', false],
  ['.hidden.jpg', 'image/jpeg', false],
  ['Thumbs.db', '', false],
])('takes %s (%s) from a folder: %s', (name, type, taken) => {
  expect(isPicture(name, type)).toBe(taken);
});
