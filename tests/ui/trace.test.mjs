// What is done on the page is a trace to the index, kept in a real Jaeger.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { close, suite } from './support/browser.mjs';
import { Jaeger } from './support/jaeger.mjs';
import { addFiles, search, trayItem } from './support/page.mjs';
import { photo } from './support/photos.mjs';

const install = fileURLToPath(new URL('../../scripts/install-jaeger', import.meta.url));

test('traces that begin on the page', async (t) => {
  const { stdout } = await promisify(execFile)(install);
  const jaeger = await Jaeger.start(stdout.trim());
  t.after(() => jaeger.close());
  const ui = await suite(t, {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${jaeger.otlp}/v1/traces`,
    OTEL_BSP_SCHEDULE_DELAY: '100',
  });

  /** The ids that the next request to a path is sent with. */
  const sent = async (page, method, path, act) => {
    const [request] = await Promise.all([
      page.waitForRequest(
        (request) => request.method() === method && new URL(request.url()).pathname === path,
      ),
      act(),
    ]);
    const [, trace, span] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(request.headers().traceparent);
    return { trace, span };
  };

  await t.test('an upload leads from the page to the index', async () => {
    const page = await ui.open();
    const { trace, span } = await sent(page, 'POST', '/api/v1/ingest', () =>
      addFiles(page, [photo('giraffe.jpg')]),
    );
    await trayItem(page, 'giraffe.jpg').and(page.locator('[data-phase=found]')).waitFor();
    const steps = ['publish jobs', 'receive jobs', 'process jobs', 'fetch', 'decode', 'embed', 'index'];
    const spans = await jaeger.until(trace, ['upload', 'POST /api/v1/ingest', ...steps]);
    assert.deepEqual(spans.get('upload'), {
      id: span,
      parent: undefined,
      links: [],
      service: 'imagesearch-page',
    });
    assert.equal(spans.get('POST /api/v1/ingest').parent, span);
    assert.equal(spans.get('publish jobs').parent, spans.get('POST /api/v1/ingest').id);
    assert.equal(spans.get('receive jobs').parent, spans.get('publish jobs').id);
    assert.equal(spans.get('process jobs').parent, spans.get('publish jobs').id);
    for (const step of ['fetch', 'decode', 'embed', 'index']) {
      assert.equal(spans.get(step).parent, spans.get('process jobs').id, step);
    }
    // What is done for many at once is a trace of its own, and they know of each other.
    for (const step of ['embed', 'index']) {
      const [batch, ...others] = spans.get(step).links;
      assert.deepEqual(others, []);
      const whole = (await jaeger.until(batch.trace, [`${step} batch`])).get(`${step} batch`);
      assert.equal(whole.id, batch.span);
      assert.deepEqual(whole.links, [{ trace, span: spans.get(step).id }]);
    }
    await close(page);
  });

  await t.test('a search too, and each request is a trace of its own', async () => {
    const page = await ui.open();
    const first = await sent(page, 'GET', '/api/v1/image/search', () => search(page, 'a giraffe'));
    const second = await sent(page, 'GET', '/api/v1/image/search', () => search(page, 'a castle'));
    assert.notEqual(first.trace, second.trace);
    const spans = await jaeger.until(first.trace, ['search', 'GET /api/v1/image/search', 'embed']);
    assert.deepEqual(spans.get('search'), {
      id: first.span,
      parent: undefined,
      links: [],
      service: 'imagesearch-page',
    });
    const request = spans.get('GET /api/v1/image/search');
    assert.equal(request.parent, first.span);
    assert.equal(spans.get('embed').parent, request.id);
    await close(page);
  });
});
