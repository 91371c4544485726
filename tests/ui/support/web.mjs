// A web server on this machine with the sample photos, as somebody else's would be on the web.
import { once } from 'node:events';
import { createReadStream } from 'node:fs';
import { createServer } from 'node:http';
import { basename } from 'node:path';
import { photo } from './photos.mjs';

/** Serves photos by their names, until the test ends; gives the origin. */
export async function photosOnTheWeb(t) {
  const server = createServer((request, response) => {
    const file = createReadStream(photo(basename(new URL(request.url, 'http://localhost').pathname)));
    file.on('error', () => response.writeHead(404).end());
    file.on('open', () => response.writeHead(200, { 'content-type': 'image/jpeg' }));
    file.pipe(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}`;
}
