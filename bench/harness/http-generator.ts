/**
 * A generator of requests, a process of its own that costs little: closed loop over connections that
 * stay open. It is forked, given an {@link HttpLoad}, and sends an {@link HttpResult}.
 */
import { connect } from 'node:net';
import { Latencies } from './latencies';
import type { LatencySummary } from './latencies';

export interface HttpLoad {
  readonly port: number;
  readonly path: string;
  /** Used in turn. */
  readonly tokens: readonly string[];
  readonly connections: number;
  readonly warmUpS: number;
  /** At most. */
  readonly seconds: number;
  /** Posted as JSON, once each, with the tokens in turn; the load ends with the last. Without: GET. */
  readonly bodies?: readonly string[];
}

export interface HttpResult {
  readonly perSecond: number;
  /** From the end of the warm-up to the last answer. */
  readonly elapsedS: number;
  readonly latency: LatencySummary;
  readonly statuses: Record<string, number>;
  /** Of one answer, the largest seen. */
  readonly bytes: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

function run(load: HttpLoad): Promise<HttpResult> {
  const requests = requestsOf(load);
  const last = load.bodies?.length ?? Infinity;
  const latencies = new Latencies();
  const statuses: Record<string, number> = {};
  const from = performance.now() + load.warmUpS * 1_000;
  const until = from + load.seconds * 1_000;
  let [next, bytes] = [0, 0];

  const caller = (): Promise<void> =>
    new Promise((resolve, reject) => {
      const socket = connect(load.port, '127.0.0.1').setNoDelay(true);
      let sentAt = 0;
      let pending: Buffer = Buffer.alloc(0);
      const send = (): void => {
        sentAt = performance.now();
        if (sentAt >= until || next >= last) return void socket.destroy();
        socket.write(requests[next++ % requests.length] as Buffer);
      };
      socket.on('connect', send);
      socket.on('error', reject);
      socket.on('close', () => resolve());
      socket.on('data', (chunk: Buffer) => {
        pending = pending.length > 0 ? Buffer.concat([pending, chunk]) : chunk;
        const headEnd = pending.indexOf(HEAD_END);
        if (headEnd < 0) return;
        const head = pending.toString('latin1', 0, headEnd);
        const length = Number(/^content-length: (\d+)/im.exec(head)?.[1]);
        if (Number.isNaN(length)) return void socket.destroy(new Error(`no length in ${head}`));
        const size = headEnd + HEAD_END.length + length;
        if (pending.length < size) return;
        pending = Buffer.alloc(0);
        if (sentAt >= from) {
          latencies.record(performance.now() - sentAt);
          const status = head.slice(9, 12);
          statuses[status] = (statuses[status] ?? 0) + 1;
          bytes = Math.max(bytes, size);
        }
        send();
      });
    });

  return Promise.all(Array.from({ length: load.connections }, caller)).then(() => {
    const latency = latencies.summary();
    const elapsedS = (performance.now() - from) / 1_000;
    const seconds = load.bodies ? elapsedS : load.seconds;
    return { perSecond: latency.count / seconds, elapsedS, latency, statuses, bytes };
  });
}

function requestsOf({ path, tokens, bodies }: HttpLoad): Buffer[] {
  const head = (method: string, i: number): string =>
    `${method} ${path} HTTP/1.1\r\nHost: im-service\r\n` +
    `Authorization: Bearer ${tokens[i % tokens.length]}\r\n`;
  if (!bodies) return tokens.map((_, i) => Buffer.from(`${head('GET', i)}\r\n`));
  return bodies.map((body, i) =>
    Buffer.from(
      `${head('POST', i)}Content-Type: application/json\r\n` +
        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
}

process.once('message', (load: HttpLoad) => {
  void run(load).then((result) => process.send?.(result, () => process.exit(0)));
});
