// The page as its container serves it, in Chromium: signing in, a photo added, shown and found, and nothing that the page's
// policy stops. `page.mjs URL PHOTO`, the API key in IMAGESEARCH_API_KEY.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { basename } from 'node:path';
import { FLAGS } from '../ui/support/browser.mjs';
import { addFiles, tiles, trayItem } from '../ui/support/page.mjs';
import { until } from '../ui/support/until.mjs';

const { chromium } = createRequire(new URL('../ui/package.json', import.meta.url))('playwright-core');
const [url, photo] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: FLAGS,
});
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(30_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(error.stack));
  page.on('console', (message) => {
    // A request that was refused is also logged by the browser.
    const isRefusal = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isRefusal) faults.push(message.text());
  });
  await page.goto(url);
  await page.getByLabel('API key').fill(process.env.IMAGESEARCH_API_KEY);
  await page.keyboard.press('Enter');
  await tiles(page).first().waitFor();
  await addFiles(page, [photo]);
  await trayItem(page, basename(photo)).and(page.locator('[data-phase=found]')).waitFor();
  await page.reload();
  await tiles(page).first().waitFor();
  await until('every picture on the screen is drawn', () =>
    page.evaluate(() =>
      [...document.querySelectorAll('[data-image] img')].every(
        (image) => image.complete && image.naturalWidth > 0,
      ),
    ),
  );
  if (process.env.SCREENSHOT) await page.screenshot({ path: process.env.SCREENSHOT });
  assert.deepEqual(faults, []);
} finally {
  await browser.close();
}
