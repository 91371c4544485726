// Makes the picture of the page in the README; see `make screenshot`. Wants pngquant, and looks best with fonts-inter.
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { chromium } from 'playwright-core';
import { FLAGS, settle } from './support/browser.mjs';
import { field, search, tiles } from './support/page.mjs';
import { Server } from './support/server.mjs';
import { until } from './support/until.mjs';

const SIZE = { width: 1280, height: 680 };
const QUERY = process.env.QUERY ?? 'a castle';
const TARGET = join(import.meta.dirname, '../../docs/images/search.png');
/** What people see on their own machines, rather than the only font of a machine without a desktop. */
const FONTS = `<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd"><fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <match target="pattern"><edit name="family" mode="prepend" binding="strong"><string>Inter</string></edit></match>
</fontconfig>`;

const scratch = await mkdtemp(join(tmpdir(), 'imagesearch-screenshot-'));
const server = await Server.start();
let browser;
try {
  await addSamples();
  const fonts = join(scratch, 'fonts.conf');
  await writeFile(fonts, FONTS);
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: FLAGS,
    env: { ...process.env, FONTCONFIG_FILE: fonts },
  });
  const raw = join(scratch, 'raw.png');
  await shoot(raw);
  await promisify(execFile)('pngquant', [
    '--quality=60-100',
    '--speed=1',
    '--force',
    '--output',
    TARGET,
    raw,
  ]);
} finally {
  await browser?.close();
  await server.close();
  await rm(scratch, { recursive: true, force: true });
}

async function addSamples() {
  await fetch(`${server.url}/api/v1/ingest/samples`, { method: 'POST' });
  await until('the samples are in', async () => {
    const { counts } = await (await fetch(`${server.url}/api/v1/ingest?limit=1`)).json();
    return counts.indexed > 60 && counts.queued + counts.processing === 0;
  });
}

async function shoot(path) {
  const page = await browser.newPage({ viewport: SIZE, colorScheme: 'light' });
  await page.goto(server.url);
  await tiles(page).first().waitFor();
  await search(page, QUERY);
  await field(page).press('End');
  await until('every picture is there', async () => {
    const there = await page.locator('img[data-state=there]').count();
    return there > 0 && there === (await tiles(page).count());
  });
  await page.waitForLoadState('networkidle');
  await settle(page);
  await page.screenshot({ path });
}
