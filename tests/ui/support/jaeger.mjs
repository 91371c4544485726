// Jaeger, which takes traces by OTLP, keeps them in memory, and tells of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { freePorts } from './server.mjs';
import { until } from './until.mjs';

const LISTENERS = [
  'query.http-server',
  'collector.otlp.http',
  'collector.otlp.grpc',
  'query.grpc-server',
  'admin.http',
  'collector.http-server',
  'collector.grpc-server',
];

export class Jaeger {
  #process;
  #ports;

  static async start(program) {
    const jaeger = new Jaeger();
    jaeger.#ports = await freePorts(LISTENERS.length);
    const listeners = LISTENERS.map((name, index) => `--${name}.host-port=127.0.0.1:${jaeger.#ports[index]}`);
    jaeger.#process = spawn(program, listeners, { stdio: 'ignore' });
    await until('Jaeger answers', async () => (await fetch(`${jaeger.#query}/api/services`)).ok);
    return jaeger;
  }

  /** Where OTLP is taken, by HTTP. */
  get otlp() {
    return `http://127.0.0.1:${this.#ports[1]}`;
  }

  get #query() {
    return `http://127.0.0.1:${this.#ports[0]}`;
  }

  /** Waits until spans of all these names are there; gives all spans of the trace, by name. */
  async until(trace, names) {
    return until(`${names} are in the trace`, async () => {
      const { data } = await (await fetch(`${this.#query}/api/traces/${trace}`)).json();
      const spans = new Map(
        (data?.[0]?.spans ?? []).map(({ spanID: id, operationName, references, processID }) => [
          operationName,
          {
            id,
            parent: references.find(({ refType, traceID }) => refType === 'CHILD_OF' && traceID === trace)
              ?.spanID,
            links: references
              .filter(({ refType, traceID }) => refType !== 'CHILD_OF' || traceID !== trace)
              .map(({ traceID, spanID }) => ({ trace: traceID, span: spanID })),
            service: data[0].processes[processID].serviceName,
          },
        ]),
      );
      return names.every((name) => spans.has(name)) && spans;
    });
  }

  async close() {
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGKILL');
    await ended;
  }
}
