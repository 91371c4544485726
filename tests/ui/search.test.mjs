// Searching: by words, by pictures, with filters, by keyboard; and the address bar that holds it all.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { close, suite } from './support/browser.mjs';
import { dialog, drop, field, firstIs, names, search, tiles } from './support/page.mjs';
import { addPhotos, photo, PHOTOS } from './support/photos.mjs';
import { until } from './support/until.mjs';

const GIRAFFES = ['giraffe.jpg', 'b_giraffe.jpg'];

test('searching', async (t) => {
  const ui = await suite(t);

  await t.test('words find pictures as they are typed', async () => {
    await addPhotos(ui.server);
    const page = await ui.open();
    await until('all pictures are shown', async () => (await tiles(page).count()) === PHOTOS.length);
    await field(page).pressSequentially('a giraffe', { delay: 25 });
    await firstIs(page, ...GIRAFFES);
    await search(page, 'a castle');
    await firstIs(page, 'neuschwansteinCastle.jpg', 'chateaudeChenonceau.jpg');
    await close(page);
  });

  await t.test('the address holds the search: it opens elsewhere, and back goes back', async () => {
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await search(page, 'a giraffe');
    await field(page).press('Enter');
    await search(page, 'an owl');
    await firstIs(page, 'owl.jpg');
    const shared = await ui.open(new URL(page.url()).search);
    await firstIs(shared, 'owl.jpg');
    assert.equal(await field(shared).inputValue(), 'an owl');
    await close(shared);
    await page.goBack();
    await firstIs(page, ...GIRAFFES);
    assert.equal(await field(page).inputValue(), 'a giraffe');
    await page.goBack();
    await until('the plain page is back', async () => new URL(page.url()).search === '');
    await close(page);
  });

  await t.test('only the last answer is shown, however late the others come', async () => {
    const page = await ui.open();
    let release, onAnswered;
    const mayAnswer = new Promise((resolve) => (release = resolve));
    const isAnswered = new Promise((resolve) => (onAnswered = resolve));
    await page.route('**/search?text=a+giraffe*', async (route) => {
      await mayAnswer;
      await route.continue().catch(() => undefined);
      onAnswered();
    });
    await field(page).fill('a giraffe');
    await page.waitForRequest(/text=a\+giraffe/);
    await search(page, 'an owl');
    await firstIs(page, 'owl.jpg');
    release();
    await isAnswered;
    await page.waitForLoadState('networkidle');
    assert.equal((await names(page))[0], 'owl.jpg');
    await close(page);
  });

  await t.test('a picture dropped on the field finds its like, and words refine', async () => {
    const page = await ui.open();
    const base64 = (await readFile(photo('moose.jpg'))).toString('base64');
    await drop(page, '[role=search]', [{ name: 'moose.jpg', type: 'image/jpeg', base64 }]);
    await page.getByTestId('like-chip').waitFor();
    await page.getByText('Best matches first').waitFor({ state: 'attached' });
    await search(page, 'a cat');
    assert.match(page.url(), /like=[0-9a-f]{64}/);
    await page.getByRole('button', { name: 'Don’t search by this picture' }).click();
    await until('the chip is gone', async () => (await page.getByTestId('like-chip').count()) === 0);
    await close(page);
  });

  await t.test('a picked picture of the collection gives an address that can be shared', async () => {
    const page = await ui.open();
    await page.getByLabel('Picture to search by').setInputFiles(photo('giraffe.jpg'));
    await page.getByTestId('like-chip').waitFor();
    await firstIs(page, 'b_giraffe.jpg');
    const shared = await ui.open(new URL(page.url()).search);
    await firstIs(shared, 'b_giraffe.jpg');
    await close(shared);
    await close(page);
  });

  await t.test('similar pictures come from a picture’s page', async () => {
    const page = await ui.open();
    await page.getByRole('link', { name: 'giraffe.jpg', exact: true }).click();
    await dialog(page).getByRole('heading', { name: 'Similar' }).waitFor();
    await dialog(page).getByRole('button', { name: 'More like this' }).click();
    await firstIs(page, 'b_giraffe.jpg');
    assert.ok(!(await names(page)).includes('giraffe.jpg'), 'the picture itself is left out');
    await close(page);
  });

  await t.test('filters narrow in plain words and can be taken off', async () => {
    const page = await ui.open();
    await page.getByRole('button', { name: 'Orientation' }).click();
    await page.getByLabel('Portrait').check();
    await page.keyboard.press('Escape');
    await until('only portraits are left', async () => {
      const shown = await names(page);
      return shown.length > 0 && shown.length < PHOTOS.length && shown.includes('statueofLiberty.jpg');
    });
    assert.match(page.url(), /orientation=portrait/);
    await page.getByRole('button', { name: 'Type', exact: true }).click();
    await page.getByLabel('PNG').check();
    await page.keyboard.press('Escape');
    await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
    await page.getByRole('main').getByRole('button', { name: 'Clear filters' }).click();
    await until('all are back', async () => (await tiles(page).count()) === PHOTOS.length);
    await close(page);
  });

  await t.test('everything can be done by keyboard', async () => {
    const page = await ui.open();
    await tiles(page).first().waitFor();
    await page.keyboard.press('/');
    await page.keyboard.type('a giraffe');
    await firstIs(page, ...GIRAFFES);
    await page.keyboard.press('ArrowDown');
    await until('the first picture has the focus', () => focusedIndex(page, '0'));
    await page.keyboard.press('ArrowRight');
    await until('the second has it', () => focusedIndex(page, '1'));
    await page.keyboard.press('Enter');
    await dialog(page).waitFor();
    await page.keyboard.press('ArrowRight');
    await page.keyboard.press('Escape');
    await until('the focus is back on the picture that was open', () => focusedIndex(page, '2'));
    await page.keyboard.press('?');
    await dialog(page).getByText('Move between pictures').waitFor();
    await page.keyboard.press('Escape');
    await until('the keys are gone', async () => (await dialog(page).count()) === 0);
    await until('the focus is back there again', () => focusedIndex(page, '2'));
    await close(page);
  });
});

function focusedIndex(page, index) {
  return page.evaluate((wanted) => document.activeElement.dataset.index === wanted, index);
}
