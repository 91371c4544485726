// The states beside the grid: empty, server away, key needed.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { close, suite } from './support/browser.mjs';
import { addFiles, field, firstIs, partsAreThere, search, tiles, trayItem } from './support/page.mjs';
import { copyOf } from './support/photos.mjs';
import { until } from './support/until.mjs';

test('states', async (t) => {
  const ui = await suite(t);

  await t.test('an empty collection offers samples, then searches that fit them', async () => {
    const page = await ui.open();
    await page.getByRole('button', { name: 'Add sample photos' }).click();
    await tiles(page).first().waitFor();
    await until('the samples are in', async () => {
      const { counts } = await (await fetch(`${ui.server.url}/api/v1/ingest?limit=1`)).json();
      return counts.indexed > 20 && counts.queued + counts.processing === 0;
    });
    await page.getByRole('button', { name: 'a red panda' }).click();
    await firstIs(page, 'a red panda climbing a tree');
    assert.equal(await field(page).inputValue(), 'a red panda');
    await close(page);
  });

  await t.test('a server that goes away is told of, and the page recovers by itself', async () => {
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await partsAreThere(page);
    const shown = await tiles(page).count();
    await ui.server.kill();
    await field(page).fill('a castle');
    await page.getByTestId('away').waitFor();
    assert.equal(await tiles(page).count(), shown, 'what was shown stays');
    await addFiles(page, [await copyOf('lemur.jpg', ui.scratch, 'away')]);
    await trayItem(page, 'away-lemur.jpg').getByText('Waiting for the server to come back').waitFor();
    await ui.server.resume();
    await page.getByTestId('away').waitFor({ state: 'detached' });
    await search(page, 'a castle');
    await until('a castle is found', async () => /castle|fortress|fort/.test(await firstName(page)));
    await trayItem(page, 'away-lemur.jpg').and(page.locator('[data-phase=found]')).waitFor();
    await close(page);
  });

  await t.test('a page opened while the server is away fills when it is back', async () => {
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await page.route('**/api/**', (route) => route.abort('connectionrefused'));
    await page.reload();
    await page.getByRole('heading', { name: 'The server isn’t answering' }).waitFor();
    await page.unroute('**/api/**');
    await page.getByRole('button', { name: 'Try now' }).click();
    await tiles(page).first().waitFor();
    await close(page);
  });

  await t.test('a change of the model is shown while it goes on, and the pictures stay', async () => {
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await partsAreThere(page);
    await askForModel(ui.server.url, secondModel());
    await page.reload();
    await page.getByTestId('model').waitFor();
    assert.ok((await tiles(page).count()) > 0);
    await page.getByTestId('model').waitFor({ state: 'detached', timeout: 120_000 });
    await search(page, 'a red panda');
    await firstIs(page, 'a red panda climbing a tree');
    await askForModel(ui.server.url, 'bundled');
    await close(page);
  });

  await t.test('a key is asked for once and then remembered', async () => {
    const key = await ui.server.createKey();
    await ui.server.kill();
    await ui.server.resume();
    const page = await ui.open();
    const entry = page.getByLabel('API key');
    await entry.fill('isk_wrong');
    await page.getByRole('button', { name: 'Continue' }).click();
    await page.getByText('This key isn’t valid', { exact: false }).waitFor();
    await entry.fill(key);
    await page.getByRole('button', { name: 'Continue' }).click();
    await tiles(page).first().waitFor();
    await page.reload();
    await tiles(page).first().waitFor();
    assert.equal(await entry.count(), 0);
    assert.equal(await page.evaluate(() => document.cookie), '', 'scripts can’t read the cookie');
    await close(page);
  });
});

function firstName(page) {
  return page.locator('[data-index="0"] img').getAttribute('alt');
}

async function askForModel(url, source) {
  const body = JSON.stringify({ source });
  const headers = { 'content-type': 'application/json' };
  const { status } = await fetch(`${url}/api/v1/ingest/model`, { method: 'PUT', headers, body });
  assert.equal(status, 202);
}

function secondModel() {
  const script = new URL('../../scripts/make-second-model', import.meta.url);
  return execFileSync(fileURLToPath(script), { encoding: 'utf8' }).trim();
}
