/**
 * A generator of GET requests, a process of its own that costs little: closed loop over connections
 * that stay open. It is forked, given an {@link HttpLoad}, and sends an {@link HttpResult}.
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
  readonly seconds: number;
}

export interface HttpResult {
  readonly perSecond: number;
  readonly latency: LatencySummary;
  readonly statuses: Record<string, number>;
  /** Of one answer, the largest seen. */
  readonly bytes: number;
}

const HEAD_END = Buffer.from('\r\n\r\n');

function run(load: HttpLoad): Promise<HttpResult> {
  const requests = load.tokens.map((token) =>
    Buffer.from(
      `GET ${load.path} HTTP/1.1\r\nHost: im-service\r\nAuthorization: Bearer ${token}\r\n\r\n`,
    ),
  );
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
        if (sentAt >= until) return void socket.destroy();
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
    return { perSecond: latency.count / load.seconds, latency, statuses, bytes };
  });
}

process.once('message', (load: HttpLoad) => {
  void run(load).then((result) => process.send?.(result, () => process.exit(0)));
});
