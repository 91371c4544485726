// What holds for every state of the page: accessibility, phones, weight, steadiness. Leaves screenshots to look at.
import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { accessibilityFaults, close, settle, suite } from './support/browser.mjs';
import { addFiles, dialog, partsAreThere, search, tiles, tray } from './support/page.mjs';
import { addPhotos, photo, textAsPicture } from './support/photos.mjs';
import { until } from './support/until.mjs';

const SCREENSHOTS = process.env.SCREENSHOTS ?? join(import.meta.dirname, 'screenshots');
const MAX_SCRIPT_BYTES = 150 * 1000;
const WIDTHS = [360, 1280, 2560];

test('quality', async (t) => {
  const ui = await suite(t);
  await mkdir(SCREENSHOTS, { recursive: true });
  const shoot = async (page, name) => {
    await settle(page);
    await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`) });
  };

  await t.test('the empty page is accessible in light and dark', async () => {
    for (const colorScheme of ['light', 'dark']) {
      const page = await ui.open('/', { colorScheme });
      await page.getByRole('heading', { name: 'No pictures yet' }).waitFor();
      await shoot(page, `empty-${colorScheme}`);
      assert.deepEqual(await accessibilityFaults(page), []);
      await close(page);
    }
  });

  for (const colorScheme of ['light', 'dark']) {
    await t.test(`each state is accessible in ${colorScheme}, at every width`, async () => {
      await addPhotos(ui.server);
      for (const width of WIDTHS) {
        const page = await ui.open('/', { colorScheme, width });
        await visitStates(page, ui, async (state) => {
          await shoot(page, `${state}-${colorScheme}-${width}`);
          assert.deepEqual(await accessibilityFaults(page), [], `${state} at ${width} px`);
          assert.ok(!(await scrollsSideways(page)), `${state} at ${width} px scrolls sideways`);
        });
        await close(page);
      }
    });
  }

  await t.test('the first load stays within its weight and stems from one host', async () => {
    const page = await ui.open();
    await page.locator('img[data-state=there]').first().waitFor();
    // With the parts that are only fetched once the page is idle.
    await partsAreThere(page);
    const total = await page.evaluate(() =>
      performance
        .getEntriesByType('resource')
        .filter(({ name }) => name.endsWith('.js'))
        .reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0),
    );
    t.diagnostic(`script, with what is fetched when idle: ${(total / 1000).toFixed(1)} kB compressed`);
    assert.ok(total > 0 && total <= MAX_SCRIPT_BYTES, `${total} bytes`);
    await close(page);
  });

  await t.test('nothing jumps while pictures load, and motion can be turned off', async () => {
    const page = await ui.open('/', { reducedMotion: 'reduce' });
    await page.addInitScript(() => {
      window.shift = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shift += entry.value;
      }).observe({ type: 'layout-shift', buffered: true });
      new PerformanceObserver((list) => {
        window.largestPaint = list.getEntries().at(-1).startTime;
      }).observe({ type: 'largest-contentful-paint', buffered: true });
    });
    await page.reload({ waitUntil: 'networkidle' });
    await until('all pictures are there', async () => {
      const shown = await page.locator('img[data-state=there]').count();
      return shown > 0 && shown === (await tiles(page).count());
    });
    const { shift, largestPaint } = await page.evaluate(() => ({
      shift: window.shift,
      largestPaint: window.largestPaint,
    }));
    t.diagnostic(`layout shift ${shift.toFixed(4)}, largest paint after ${Math.round(largestPaint)} ms`);
    assert.ok(shift < 0.01, `layout shift ${shift}`);
    const moving = await page.evaluate(() => document.getAnimations().length);
    assert.equal(moving, 0);
    await close(page);
  });
});

/** Brings the page into one state after another and calls `look` in each. */
async function visitStates(page, ui, look) {
  await tiles(page).first().waitFor();
  await page.waitForLoadState('networkidle');
  await look('grid');
  await search(page, 'a giraffe');
  await page.waitForLoadState('networkidle');
  await look('search');
  await tiles(page).first().click();
  await dialog(page).getByRole('heading', { name: 'Similar' }).waitFor();
  await page.waitForLoadState('networkidle');
  await look('image');
  await dialog(page)
    .getByRole('button', { name: /Edit|Add tags/ })
    .click();
  await look('edit');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Escape');
  await until('the picture is closed', async () => (await dialog(page).count()) === 0);
  await page.getByRole('button', { name: 'Orientation' }).click();
  await look('filter');
  await page.keyboard.press('Escape');
  await page.locator('body').press('?');
  await dialog(page).waitFor();
  await look('keys');
  await page.keyboard.press('Escape');
  await addFiles(page, [photo('giraffe.jpg'), await textAsPicture(ui.scratch)]);
  await tray(page).getByText('Save it as JPEG', { exact: false }).waitFor();
  await look('tray');
}

function scrollsSideways(page) {
  return page.evaluate(() => document.documentElement.scrollWidth > document.documentElement.clientWidth);
}
