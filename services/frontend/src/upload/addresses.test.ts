import { describe, expect, it } from 'vitest';
import { addressesIn, isAddressList, shortAddress } from './addresses';

describe('a list of addresses', () => {
  it.each([
    ['https://example.org/a.jpg', ['https://example.org/a.jpg']],
    [' https://a.org/1.jpg\nHTTP://b.org/2.png\r\n', ['https://a.org/1.jpg', 'HTTP://b.org/2.png']],
    ['"https://a.org/1.jpg", <https://b.org/2,3.png>;', ['https://a.org/1.jpg', 'https://b.org/2,3.png']],
    ['https://a.org/1.jpg https://a.org/1.jpg', ['https://a.org/1.jpg']],
    ['https://例え.jp/キリン.jpg?w=1&h=2', ['https://例え.jp/キリン.jpg?w=1&h=2']],
  ])('%j', (text, urls) => {
    expect(addressesIn(text)).toEqual({ urls, wrong: [] });
  });

  it('tells what is no address', () => {
    expect(addressesIn('giraffe.jpg ftp://a.org/1 https:// https://a.org')).toEqual({
      urls: ['https://a.org'],
      wrong: ['giraffe.jpg', 'ftp://a.org/1', 'https://'],
    });
  });
});

it('is told from other text', () => {
  expect(isAddressList('https://a.org/1.jpg')).toBe(true);
  expect(isAddressList('see https://a.org/1.jpg')).toBe(false);
  expect(isAddressList('  ')).toBe(false);
});

it('is shown short', () => {
  expect(shortAddress('https://www.example.org/a/b.jpg')).toBe('example.org/a/b.jpg');
  expect(shortAddress('http://example.org/')).toBe('example.org');
});
