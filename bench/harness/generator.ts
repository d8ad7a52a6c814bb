/**
 * The load generator, a process of its own: closed loop, CONCURRENCY calls in flight for SECONDS.
 * Arguments: port, recipient prefix, how many recipients, concurrency, seconds. Prints JSON.
 */
import { randomUUID } from 'node:crypto';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { loadProto, serviceIn } from '../../src/activities/protos';

const WARM_UP_S = 3;

export interface LoadResult {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly statuses: Record<string, number>;
}

async function main(): Promise<void> {
  const [port, prefix = '', recipients, concurrency, seconds] = process.argv.slice(2);
  const method = serviceIn(loadProto('api/v1/im.proto'), 'im.v1.IMService')['RoutePrivateMessage'];
  if (!method) throw new Error('no RoutePrivateMessage');
  // One connection is one HTTP/2 session; gateways have several.
  const clients = Array.from({ length: 4 }, (_, i) => {
    return new Client(`127.0.0.1:${port}`, credentials.createInsecure(), { 'im.bench': i });
  });
  const run = randomUUID();
  const times: number[] = [];
  const statuses: Record<string, number> = {};
  const end = performance.now() + (WARM_UP_S + Number(seconds)) * 1_000;
  const from = performance.now() + WARM_UP_S * 1_000;
  let sent = 0;

  const one = (client: Client): Promise<void> =>
    new Promise((resolve, reject) => {
      const n = sent++;
      const began = performance.now();
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize as (value: object) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => { status: string },
        {
          msg_id: `${run}-${n}`,
          sender_id: `sender-${n % 97}`,
          recipient_id: `${prefix}${n % Number(recipients)}`,
          content: 'x'.repeat(100),
          timestamp: Date.now(),
          metadata: {},
        },
        new Metadata(),
        { deadline: Date.now() + 10_000 },
        (error, answer) => {
          if (error) return reject(error);
          if (began >= from) {
            times.push(performance.now() - began);
            const status = answer?.status ?? 'none';
            statuses[status] = (statuses[status] ?? 0) + 1;
          }
          resolve();
        },
      );
    });
  const caller = async (i: number): Promise<void> => {
    const client = clients[i % clients.length] as Client;
    while (performance.now() < end) await one(client);
  };
  await Promise.all(Array.from({ length: Number(concurrency) }, (_, i) => caller(i)));
  for (const client of clients) client.close();
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(share * (times.length - 1))] ?? 0;
  const result: LoadResult = {
    perSecond: times.length / Number(seconds),
    p50: at(0.5),
    p99: at(0.99),
    statuses,
  };
  process.stdout.write(JSON.stringify(result));
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
