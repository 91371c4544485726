// Debian's Chromium, driven by Playwright. Each page tells of requests to other hosts and of errors in it.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { Server } from './server.mjs';

export const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

/** A server, with settings beside its defaults, and a browser for all parts of a test; `open` gives a new page, as a new visitor sees it. */
export async function suite(t, settings = {}) {
  const shared = {
    scratch: await mkdtemp(join(tmpdir(), 'imagesearch-ui-files-')),
  };
  t.after(() => rm(shared.scratch, { recursive: true, force: true }));
  shared.server = await Server.start(settings);
  t.after(() => shared.server.close());
  shared.browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
  });
  t.after(() => shared.browser.close());
  shared.open = (path = '/', options = {}) => openPage(shared, path, options);
  return shared;
}

async function openPage({ browser, server }, path, { width = 1280, height = 800, ...options }) {
  const context = await browser.newContext({
    viewport: { width, height },
    ...options,
  });
  context.setDefaultTimeout(30_000);
  const page = await context.newPage();
  page.foreign = [];
  page.faults = [];
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^(https?|wss?):$/.test(url.protocol) && url.origin !== server.url) page.foreign.push(url.href);
  });
  page.on('pageerror', (error) => page.faults.push(error.stack));
  page.on('console', (message) => {
    // A request that was refused is also logged by the browser; what the page makes of it is what is tested.
    const isRefusal = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isRefusal) page.faults.push(message.text());
  });
  await page.goto(`${server.url}${path}`);
  return page;
}

/** Ends a page, and with it whatever would have been wrong throughout. */
export async function close(page) {
  await page.context().close();
  assert.deepEqual(page.foreign, [], 'requests to other hosts');
  assert.deepEqual(page.faults, [], 'errors on the page');
}

/** Waits until nothing moves. */
export function settle(page) {
  return page.evaluate(async () => {
    await Promise.all(document.getAnimations().map((animation) => animation.finished.catch(() => undefined)));
  });
}

/** What axe has to say about accessibility, as short lines; empty when all is well. */
export async function accessibilityFaults(page) {
  await settle(page);
  // Evaluated, not added as a script: the page's security policy forbids that, as it should.
  await page.evaluate(await readFile(axe, 'utf8'));
  const { violations } = await page.evaluate(() => window.axe.run(document));
  return violations.map(
    ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`,
  );
}
