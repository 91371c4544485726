// What tests do on the page, by what a visitor sees.
import { until } from './until.mjs';

export const field = (page) => page.getByRole('searchbox', { name: 'Search pictures' });
export const tiles = (page) => page.locator('[data-image]');
export const tray = (page) => page.getByTestId('tray');
export const trayItem = (page, name) => page.getByTestId('tray-item').filter({ hasText: name });
export const dialog = (page) => page.getByRole('dialog');

/** Names of the pictures in the grid, in their order. */
export async function names(page) {
  const found = await tiles(page).evaluateAll((links) =>
    links.map((link) => [Number(link.dataset.index), link.querySelector('img').alt]),
  );
  return found.sort(([one], [other]) => one - other).map(([, name]) => name);
}

/** Waits until the grid shows these pictures first. */
export function firstIs(page, ...wanted) {
  return until(`the first picture is one of ${wanted}`, async () => wanted.includes((await names(page))[0]));
}

/** Searches by words, and waits for the answer to be shown. */
export async function search(page, text) {
  await field(page).fill(text);
  await page.getByText('Best matches first').waitFor({ state: 'attached' });
  await page.locator('[aria-label=Pictures]:not([data-old])').waitFor();
}

export function addFiles(page, paths) {
  return page.locator('header').getByLabel('Pictures to add', { exact: true }).setInputFiles(paths);
}

/** Drops files on a part of the page, as from the desktop. */
export async function drop(page, selector, files) {
  const transfer = await page.evaluateHandle((entries) => {
    const data = new DataTransfer();
    for (const { name, type, base64 } of entries) {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      data.items.add(new File([bytes], name, { type }));
    }
    return data;
  }, files);
  await page.dispatchEvent(selector, 'dragenter', { dataTransfer: transfer });
  await page.dispatchEvent(selector, 'drop', { dataTransfer: transfer });
}

/** What the first load did without is fetched once the page is idle. */
export function partsAreThere(page) {
  return page.waitForFunction(() =>
    ['FilterBar', 'ImageDialog', 'Tray', 'dialogs'].every((part) =>
      performance.getEntriesByType('resource').some(({ name }) => name.includes(`/${part}-`)),
    ),
  );
}
