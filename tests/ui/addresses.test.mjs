// Adding pictures by their web addresses: typed, pasted, dropped; what is no address, and what may not be fetched.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessibilityFaults, close, suite } from './support/browser.mjs';
import { dialog, firstIs, search, tray, trayItem } from './support/page.mjs';
import { until } from './support/until.mjs';
import { photosOnTheWeb } from './support/web.mjs';

test('adding by address', async (t) => {
  const web = await photosOnTheWeb(t);
  const ui = await suite(t, { IMAGESEARCH_INGESTWORKER__FETCH__ALLOW_NETWORKS: '127.0.0.1/32' });
  const entry = (page) => dialog(page).getByLabel('Addresses of pictures');
  const openFromMenu = async (page) => {
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('banner').getByRole('button', { name: 'Add from the web' }).click();
    await entry(page).waitFor();
  };

  await t.test('a list of addresses is fetched by the server and found by words', async () => {
    const page = await ui.open();
    await openFromMenu(page);
    assert.deepEqual(await accessibilityFaults(page), []);
    await entry(page).fill(`${web}/owl.jpg\n${web}/petra.jpg?size=large`);
    await dialog(page).getByRole('button', { name: 'Add 2 pictures' }).click();
    for (const name of ['owl.jpg', 'petra.jpg']) {
      await trayItem(page, name).and(page.locator('[data-phase=found]')).waitFor();
    }
    await search(page, 'an owl');
    await firstIs(page, 'owl.jpg');
    await close(page);
  });

  await t.test('what is no address is told of, and nothing is sent', async () => {
    const page = await ui.open();
    await openFromMenu(page);
    await entry(page).fill('giraffe.jpg');
    await entry(page).press('Control+Enter');
    await dialog(page).getByText('“giraffe.jpg” isn’t a web address').waitFor();
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    assert.equal(await tray(page).count(), 0);
    await until('the focus is back', () => page.evaluate(() => document.activeElement.innerText === 'Add'));
    await close(page);
  });

  await t.test('addresses that give nothing fail with what to do, and can be tried again', async () => {
    const page = await ui.open();
    await openFromMenu(page);
    await entry(page).fill(`${web}/nothing.jpg\nhttp://10.255.255.1/secret.jpg`);
    await entry(page).press('Control+Enter');
    await trayItem(page, 'nothing.jpg').getByText('Check that it opens in the browser').waitFor();
    await trayItem(page, 'secret.jpg').getByText('The server may not fetch from this address').waitFor();
    assert.equal(await trayItem(page, 'secret.jpg').getByRole('button').count(), 0);
    await page.reload();
    await trayItem(page, 'nothing.jpg')
      .getByRole('button', { name: /Try .*nothing\.jpg again/ })
      .click();
    await trayItem(page, 'nothing.jpg').and(page.locator('[data-phase=failed]')).waitFor();
    await close(page);
  });

  await t.test('an address pasted or dropped on the page is offered to be added', async () => {
    const page = await ui.open();
    const transfer = (type) =>
      page.evaluateHandle(
        ([kind, text]) => {
          const data = new DataTransfer();
          data.setData(kind, text);
          return data;
        },
        [type, `${web}/moose.jpg`],
      );
    const pasted = await transfer('text/plain');
    await page.evaluate(
      (clipboardData) =>
        document.body.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true })),
      pasted,
    );
    await entry(page).waitFor();
    assert.equal(await entry(page).inputValue(), `${web}/moose.jpg`);
    await page.keyboard.press('Escape');
    await dialog(page).waitFor({ state: 'detached' });
    const dropped = await transfer('text/uri-list');
    await page.dispatchEvent('main', 'dragenter', { dataTransfer: dropped });
    await page.dispatchEvent('main', 'drop', { dataTransfer: dropped });
    await dialog(page).getByRole('button', { name: 'Add', exact: true }).click();
    await trayItem(page, 'moose.jpg').and(page.locator('[data-phase=found]')).waitFor();
    await close(page);
  });
});
