// One picture: what is known of it, changing that, deleting it with an undo.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { close, suite } from './support/browser.mjs';
import { dialog, names, tiles } from './support/page.mjs';
import { addPhotos } from './support/photos.mjs';
import { until } from './support/until.mjs';

test('one picture', async (t) => {
  const ui = await suite(t);
  const isThere = async (id) => (await fetch(`${ui.server.url}/api/v1/image/${id}`)).ok;
  const openPicture = async (page, name) => {
    const link = page.getByRole('link', { name, exact: true });
    const id = await link.getAttribute('data-image');
    await link.click();
    await dialog(page).waitFor();
    return id;
  };

  await t.test('opens large, with its facts and its original', async () => {
    await addPhotos(ui.server);
    const page = await ui.open();
    const id = await openPicture(page, 'owl.jpg');
    await dialog(page)
      .getByText(/\d+ × \d+ px, \d+ kB/)
      .waitFor();
    const original = await dialog(page).getByRole('link', { name: 'Original' }).getAttribute('href');
    assert.equal((await fetch(`${ui.server.url}${original}`)).headers.get('content-type'), 'image/jpeg');
    await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
    await dialog(page).getByRole('button', { name: 'Copy id' }).click();
    await until(
      'the id is copied',
      async () => (await page.evaluate(() => navigator.clipboard.readText())) === id,
    );
    const direct = await ui.open(`/?image=${id}`);
    await dialog(direct).getByRole('heading', { name: 'owl.jpg' }).waitFor();
    await close(direct);
    await close(page);
  });

  await t.test('caption and tags are changed and found again', async () => {
    const page = await ui.open();
    await openPicture(page, 'petra.jpg');
    await dialog(page).getByRole('button', { name: 'Add tags and a caption' }).click();
    await dialog(page).getByLabel('Caption').fill('a temple in the rock');
    await dialog(page).getByLabel('Tags, with commas between').fill('jordan, temple');
    await dialog(page).getByRole('button', { name: 'Save' }).click();
    await dialog(page).getByRole('heading', { name: 'a temple in the rock' }).waitFor();
    await dialog(page).getByRole('button', { name: 'Pictures tagged jordan' }).click();
    await until('the tag finds it alone', async () => {
      const shown = await names(page);
      return shown.length === 1 && shown[0] === 'a temple in the rock';
    });
    await close(page);
  });

  await t.test('a delete that is undone never happens', async () => {
    const page = await ui.open();
    const id = await openPicture(page, 'cat.jpg');
    const before = await tiles(page).count();
    await dialog(page).getByRole('button', { name: 'Delete picture' }).click();
    await until('it is gone from the grid', async () => (await tiles(page).count()) === before - 1);
    await page.getByRole('button', { name: 'Undo' }).click();
    await until('it is back', async () => (await names(page)).includes('cat.jpg'));
    assert.ok(await isThere(id));
    await close(page);
  });

  await t.test('a delete happens once its undo is over', async () => {
    const page = await ui.open();
    const id = await openPicture(page, 'cat.jpg');
    await dialog(page).getByRole('button', { name: 'Delete picture' }).click();
    await page.getByText('Picture deleted.').first().waitFor();
    assert.ok(await isThere(id), 'not before the undo is over');
    await until('it is gone from the server', async () => !(await isThere(id)));
    assert.ok(!(await names(page)).includes('cat.jpg'));
    await close(page);
  });

  await t.test('a delete happens when the page is left before', async () => {
    const page = await ui.open();
    const id = await openPicture(page, 'owl.jpg');
    await dialog(page).getByRole('button', { name: 'Delete picture' }).click();
    await page.getByText('Picture deleted.').first().waitFor();
    await page.goto('about:blank');
    await until('it is gone from the server', async () => !(await isThere(id)));
    await close(page);
  });
});
