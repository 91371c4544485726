// Servers to test, each with an empty collection of its own; IMAGESEARCH_BIN names the program. They are killed, given
// keys and emptied here, so that a server which somebody uses is never one of them.
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { until } from './until.mjs';

const program = process.env.IMAGESEARCH_BIN;
const ROLES = ['INGESTAPI', 'SEARCHAPI', 'CDNAPI', 'FRONTEND', 'ADMIN'];

/** A server with an empty collection of its own. */
export class Server {
  #data;
  #ports;
  #settings;
  #process = null;
  #log = [];

  /** Starts a server, on free ports, over a new folder; `settings` are variables of its environment. */
  static async start(settings = {}) {
    if (!program) throw new Error('set IMAGESEARCH_BIN to the program, as scripts/test-ui does');
    const server = new Server();
    server.#settings = settings;
    server.#data = await mkdtemp(join(tmpdir(), 'imagesearch-ui-'));
    server.#ports = await freePorts(ROLES.length);
    await server.resume();
    return server;
  }

  get url() {
    return `http://127.0.0.1:${this.#ports[ROLES.indexOf('FRONTEND')]}`;
  }

  /** Starts it again where it was, and waits until it is ready. */
  async resume() {
    this.#process = spawn(program, ['up', '--data-dir', this.#data], {
      env: { ...process.env, ...this.#settings, ...this.#listen() },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      stream.on('data', (chunk) => this.#log.push(chunk.toString()));
    }
    const admin = this.#ports[ROLES.indexOf('ADMIN')];
    await until('the server is ready', async () => {
      if (this.#process.exitCode !== null) throw new Error(`the server ended:\n${this.log}`);
      return (await fetch(`http://127.0.0.1:${admin}/readyz`)).ok;
    });
  }

  /** Takes it away at once, as a crash does. */
  async kill() {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }

  /** Makes an API key; from then on nobody gets in without one. */
  async createKey() {
    const scopes = ['read', 'ingest', 'delete'].flatMap((scope) => ['--scope', scope]);
    const args = ['keys', '--data-dir', this.#data, 'create', '--name', 'ui', ...scopes];
    const { stdout } = await promisify(execFile)(program, args, {
      env: { ...process.env, ...this.#listen() },
    });
    return /isk_\S+/.exec(stdout)[0].replace(/["',]+$/, '');
  }

  async close() {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.kill();
    await rm(this.#data, { recursive: true, force: true });
  }

  get log() {
    return this.#log.join('').slice(-4000);
  }

  #listen() {
    return Object.fromEntries(
      ROLES.map((role, index) => [`IMAGESEARCH_${role}__LISTEN`, `127.0.0.1:${this.#ports[index]}`]),
    );
  }
}

export async function freePorts(count) {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1');
      await once(server, 'listening');
      return server;
    }),
  );
  const ports = servers.map((server) => server.address().port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
