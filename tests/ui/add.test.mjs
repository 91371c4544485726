// Adding pictures: by picking, dropping and whole folders; what fails, what is there already, what survives a reload.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { close, suite } from './support/browser.mjs';
import { addFiles, drop, field, firstIs, names, search, tiles, tray, trayItem } from './support/page.mjs';
import { copyOf, photo, textAsPicture } from './support/photos.mjs';
import { until } from './support/until.mjs';

test('adding pictures', async (t) => {
  const ui = await suite(t);

  await t.test('a photo is uploaded, waited for, and found by words', async () => {
    const page = await ui.open();
    await page.getByRole('heading', { name: 'No pictures yet' }).waitFor();
    await addFiles(page, [photo('red_panda.jpg'), photo('owl.jpg'), photo('petra.jpg')]);
    for (const name of ['red_panda.jpg', 'owl.jpg', 'petra.jpg']) {
      await trayItem(page, name).and(page.locator('[data-phase=found]')).waitFor();
    }
    await tray(page).getByRole('heading', { name: '3 pictures added' }).waitFor();
    await until('all three are in the grid', async () => (await tiles(page).count()) === 3);
    await search(page, 'a red panda');
    await firstIs(page, 'red_panda.jpg');
    await close(page);
  });

  await t.test('a file that is no picture fails, says why, and stands first', async () => {
    const page = await ui.open();
    await addFiles(page, [await copyOf('cat.jpg', ui.scratch, 'first'), await textAsPicture(ui.scratch)]);
    await tray(page).getByRole('heading', { name: '1 picture couldn’t be added' }).waitFor();
    const first = page.getByTestId('tray-item').first();
    assert.match(await first.innerText(), /notes\.jpg[^]*Save it as JPEG/);
    await close(page);
  });

  await t.test('a picture that is there already says so kindly and is not sent again', async () => {
    const page = await ui.open();
    const sent = [];
    page.on('request', (request) => request.method() === 'POST' && sent.push(request.url()));
    await addFiles(page, [photo('owl.jpg')]);
    await trayItem(page, 'owl.jpg').getByText('Already in your collection').waitFor();
    assert.deepEqual(sent, []);
    await close(page);
  });

  await t.test('pictures dropped anywhere are added', async () => {
    const page = await ui.open();
    const base64 = (await readFile(await copyOf('pig.jpg', ui.scratch, 'dropped'))).toString('base64');
    await drop(page, 'main', [{ name: 'dropped-pig.jpg', type: 'image/jpeg', base64 }]);
    await trayItem(page, 'dropped-pig.jpg').and(page.locator('[data-phase=found]')).waitFor();
    await close(page);
  });

  await t.test('a folder is added whole, without what lies around in it', async () => {
    const folder = join(ui.scratch, 'holiday');
    await mkdir(join(folder, 'day one'), { recursive: true });
    await writeFile(join(folder, 'list.txt'), 'no picture');
    await copyOf('duck.jpg', folder, 'a');
    await copyOf('crab.jpg', join(folder, 'day one'), 'b');
    const page = await ui.open();
    await page.locator('header').getByLabel('Folder to add').setInputFiles(folder);
    await tray(page).getByRole('heading', { name: '2 pictures added' }).waitFor();
    await page.getByText('1 file left out', { exact: false }).first().waitFor();
    await close(page);
  });

  await t.test('hundreds are grouped, survive a reload, and all arrive', async () => {
    const page = await ui.open();
    const before = await tiles(page).count();
    const many = await Promise.all(
      Array.from({ length: 60 }, (_, index) => copyOf('kingfisher.jpg', ui.scratch, `many${index}`)),
    );
    await addFiles(page, many);
    await tray(page)
      .getByText(/\d+ waiting/)
      .waitFor();
    await until(
      'everything is sent',
      async () => (await tray(page).getByText('Cancel what isn’t sent').count()) === 0,
    );
    await page.reload();
    await until('all are in the collection', async () => {
      const { total } = await (await fetch(`${ui.server.url}/api/v1/image?limit=1`)).json();
      return total >= before + many.length;
    });
    await until('the tray has nothing left to do', async () => {
      return (
        (await tray(page).count()) === 0 ||
        (await tray(page).getByRole('heading').innerText()).includes('added')
      );
    });
    await close(page);
  });

  await t.test('typing goes on working while pictures come in', async () => {
    const page = await ui.open();
    await addFiles(page, [await copyOf('bison.jpg', ui.scratch, 'while')]);
    const types = async () => {
      await field(page).pressSequentially('petra', { delay: 30 });
      await until('words are searched', async () => (await names(page)).includes('petra.jpg'));
      assert.equal(await field(page).inputValue(), 'petra');
    };
    // What has been found goes from the tray after a while.
    const found = trayItem(page, 'while-bison.jpg').and(page.locator('[data-phase=found]'));
    await Promise.all([found.waitFor(), types()]);
    await close(page);
  });
});
