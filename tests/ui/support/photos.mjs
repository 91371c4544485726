// Pictures and things that aren't, to add.
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './until.mjs';

const FOLDER = fileURLToPath(new URL('../../fixtures/photos/', import.meta.url));

export const PHOTOS = [
  'red_panda.jpg',
  'giraffe.jpg',
  'b_giraffe.jpg',
  'neuschwansteinCastle.jpg',
  'chateaudeChenonceau.jpg',
  'cat.jpg',
  'owl.jpg',
  'orchestra.jpg',
  'statueofLiberty.jpg',
  'petra.jpg',
];

export function photo(name) {
  return join(FOLDER, name);
}

/** A file that calls itself a picture and is a text. */
export async function textAsPicture(folder, name = 'notes.jpg') {
  const path = join(folder, name);
  await writeFile(path, 'milk, eggs, bread\n');
  return path;
}

/** A picture of its own bytes, so that no test has added it before. */
export async function copyOf(name, folder, mark) {
  const path = join(folder, `${mark}-${basename(name)}`);
  // Whatever follows the end of a JPEG is left alone by every decoder.
  await writeFile(path, Buffer.concat([await readFile(photo(name)), Buffer.from(mark)]));
  return path;
}

/** Adds photos without the page, and waits until all can be found. */
export async function addPhotos(server, names = PHOTOS) {
  const form = new FormData();
  for (const name of names) form.append('file', new Blob([await readFile(photo(name))]), name);
  const answer = await fetch(`${server.url}/api/v1/ingest`, {
    method: 'POST',
    body: form,
  });
  // What is there already has no task.
  const tasks = (await answer.json()).tasks.filter(({ task_id: id }) => id);
  await until('all photos are indexed', async () => {
    const statuses = await Promise.all(
      tasks.map(
        async ({ task_id: id }) => (await (await fetch(`${server.url}/api/v1/ingest/${id}`)).json()).status,
      ),
    );
    return statuses.every((status) => status === 'indexed');
  });
}
