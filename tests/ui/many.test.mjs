// Much at once: a thousand pictures in the grid, hundreds of files, a queue that is full, names that are long.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { close, suite } from './support/browser.mjs';
import { addFiles, dialog, tiles, tray, trayItem } from './support/page.mjs';
import { addPhotos, copyOf, photo } from './support/photos.mjs';
import { until } from './support/until.mjs';

const PICTURES = 1000;
const FILES = 500;
const MAX_AT_ONCE = 3;
/** No file system takes more than 255 bytes. */
const LONG_NAMES = [
  `${'very-long-name-without-any-space'.repeat(6)}.jpg`,
  `${'長い名前の写真'.repeat(11)}.jpg`,
  `${'صورة-زرافة '.repeat(11)}x.jpg`,
];

test('much at once', async (t) => {
  const ui = await suite(t);

  await t.test('of a thousand pictures only those in view are in the document', async () => {
    await addPhotos(ui.server);
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await repeatList(page, PICTURES);
    await page.reload();
    await page.getByText('1,000 pictures').waitFor();
    let most = 0;
    await until('the end is reached', async () => {
      await page.mouse.wheel(0, 3000);
      most = Math.max(most, await tiles(page).count());
      return (await page.locator(`[data-index="${PICTURES - 1}"]`).count()) === 1;
    });
    t.diagnostic(`${most} of ${PICTURES} pictures were in the document at most`);
    assert.ok(most > 0 && most < 120, `${most} pictures in the document`);
    await close(page);
  });

  await t.test('of hundreds of files a few are sent at once, and the tray stays short', async () => {
    const page = await ui.open();
    let now = 0;
    let most = 0;
    await page.route('**/api/v1/ingest', async (route) => {
      now += 1;
      most = Math.max(most, now);
      await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(resolve)));
      now -= 1;
      await route.fulfill({
        status: 202,
        json: { tasks: [{ status: 'duplicate', image_id: 'f'.repeat(64) }] },
      });
    });
    const files = Array.from({ length: FILES }, (_, index) => ({
      name: `file ${index}.jpg`,
      mimeType: 'image/jpeg',
      buffer: Buffer.from(`file ${index}`),
    }));
    await addFiles(page, files);
    await tray(page).getByRole('heading', { name: 'Adding 500 pictures' }).waitFor();
    // Each of them goes through this process and back.
    await tray(page)
      .getByRole('heading', { name: 'Already in your collection' })
      .waitFor({ timeout: 180_000 });
    assert.ok(most > 1 && most <= MAX_AT_ONCE, `${most} at once`);
    assert.ok((await page.getByTestId('tray-item').count()) <= 40);
    await close(page);
  });

  await t.test('a full queue is come back to when it says', async () => {
    const page = await ui.open();
    const sentAt = [];
    await page.route('**/api/v1/ingest', async (route) => {
      sentAt.push(Date.now());
      if (sentAt.length > 1) return route.continue();
      return route.fulfill({ status: 429, headers: { 'retry-after': '2' }, json: {} });
    });
    await addFiles(page, [await copyOf('bison.jpg', ui.scratch, 'full')]);
    await trayItem(page, 'full-bison.jpg').getByText('The server is busy').waitFor();
    await trayItem(page, 'full-bison.jpg').and(page.locator('[data-phase=found]')).waitFor();
    const [first, second] = sentAt;
    assert.ok(second - first >= 1900, `came back after ${second - first} ms`);
    await close(page);
  });

  await t.test('long names of any script fit a phone', async () => {
    const page = await ui.open('/', { width: 360, height: 740 });
    const bytes = await readFile(photo('duck.jpg'));
    const files = LONG_NAMES.map((name, index) => ({
      name,
      mimeType: 'image/jpeg',
      buffer: Buffer.concat([bytes, Buffer.from([index])]),
    }));
    await addFiles(page, files);
    await tray(page).getByRole('heading', { name: '3 pictures added' }).waitFor();
    assert.ok(!(await scrollsSideways(page, 'html')));
    for (const name of LONG_NAMES) {
      await page.getByRole('button', { name: `Open ${name}` }).click();
      await dialog(page).getByRole('heading', { name }).waitFor();
      assert.ok(!(await scrollsSideways(page, '[role=dialog]')), name);
      await page.keyboard.press('Escape');
      await dialog(page).waitFor({ state: 'detached' });
    }
    await close(page);
  });
});

/** Answers lists with as many pictures, made of the first one that is really there. */
async function repeatList(page, total) {
  await page.route('**/api/v1/image?*', async (route) => {
    const url = new URL(route.request().url());
    const limit = Number(url.searchParams.get('limit'));
    const start = Number(url.searchParams.get('cursor') ?? 0);
    url.searchParams.delete('cursor');
    const { images } = await (await fetch(url)).json();
    const copies = Array.from({ length: Math.min(limit, total - start) }, (_, index) => ({
      ...images[index % images.length],
      image_id: (start + index).toString(16).padStart(64, '0'),
    }));
    const next = start + limit < total ? { next_cursor: String(start + limit) } : {};
    await route.fulfill({ json: { images: copies, total, ...next } });
  });
  const picture = await readFile(photo('owl.jpg'));
  await page.route('**/images/*', (route) => route.fulfill({ contentType: 'image/jpeg', body: picture }));
}

function scrollsSideways(page, selector) {
  return page.locator(selector).evaluate((element) => element.scrollWidth > element.clientWidth);
}
