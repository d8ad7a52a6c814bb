/**
 * Many users coming back at once, each with messages that wait: how long until all have theirs, in
 * order, and what it costs Temporal. `npm run bench -- mass-return [--users=10000] [--pending=20]`.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { Client, Connection } from '@temporalio/client';
import { Etcd3 } from 'etcd3';
import { loadService } from '../dev/common/grpc';
import { offsetFrom, Stack } from '../dev/stack/stack';
import { Database } from '../src/activities/mysql/database';
import { MessageStore } from '../src/activities/mysql/message-store';
import { prepareSchema } from '../src/activities/mysql/schema';
import { privateConversation } from '../src/domain/ids';
import { createLogger } from '../src/logger';
import { projectRoot } from '../src/paths';
import { freePort, ProductProcess } from '../test/support/processes';
import { BENCH_OFFSET } from './harness/system';
import { cpuSeconds, peakMb } from './harness/cpu';

const TTL_MS = 7 * 24 * 60 * 60 * 1_000;
const CONTENT = 'x'.repeat(100);
/** Entries of a transaction that stores what is to wait, and registrations at once. */
const STORED_AT_ONCE = 500;
const PUTS_AT_ONCE = 100;
const DEADLINE_MS = 200_000;
/** Not in use: users here are remembered by nobody. */
const USER_SERVICE = '127.0.0.1:1';

/** What a gateway saw of one user. */
interface Seen {
  appearedAt: number;
  count: number;
  lastSequence: number;
  firstAt: number;
  lastAt: number;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      users: { type: 'string', default: '10000' },
      pending: { type: 'string', default: '20' },
      'worker-options': { type: 'string', default: '' },
    },
  });
  const pending = Number(values.pending);
  const run = randomUUID().slice(0, 8);
  const users = Array.from({ length: Number(values.users) }, (_, i) => `user-${run}-${i}`);
  const stack = new Stack({
    instance: 'bench',
    offset: offsetFrom(process.env, BENCH_OFFSET),
    given: process.env,
    report: (line) => console.error(line),
  });
  const started = await stack.up();
  const url = stack.environment.MYSQL_URL;
  await prepareSchema({
    url,
    owner: stack.environment.MYSQL_OWNER,
    folder: join(projectRoot(), 'migrations'),
    log: createLogger('silent', 'bench'),
  });
  const db = Database.open({ url, connections: 2, deadlineMs: 60_000 });
  const etcd = new Etcd3({ hosts: [stack.environment.ETCD_ENDPOINTS] });
  const gateway = await Gateway.start(users);
  const port = await freePort();
  const env = {
    ...stack.environment,
    NODE_ENV: 'production',
    JWT_SECRET: 'of-the-benchmarks-0123456789abcdef',
    USER_SERVICE_ADDRESS: USER_SERVICE,
    IM_WORKER_HTTP_PORT: String(port),
  };
  const options = values['worker-options'].split(' ').filter((option) => option !== '');
  const worker = new ProductProcess('worker', port, env, undefined, options);
  try {
    await storeAll(db, users, pending);
    await worker.start();
    const pids = new Map([['worker', worker.pid]]);
    for (const { name, detail } of await stack.status()) pids.set(name, Number(detail.slice(4)));
    const spent = (): Map<string, number> =>
      new Map([...pids].map(([name, pid]) => [name, cpuSeconds(pid)]));
    const before = spent();
    const began = performance.now();
    await registerAll(etcd, users, gateway);
    const registered = performance.now() - began;
    const total = users.length * pending;
    while (gateway.pushes < total && performance.now() - began < DEADLINE_MS) await sleep(100);
    const seconds = (performance.now() - began) / 1_000;
    const after = spent();
    await allEnded(stack.environment.TEMPORAL_ADDRESS);

    console.log(`${users.length} users back within ${(registered / 1_000).toFixed(1)} s`);
    console.log(`  ${gateway.pushes} of ${total} messages pushed in ${seconds.toFixed(1)} s`);
    console.log(`  ${(gateway.pushes / seconds).toFixed(0)} messages/s`);
    console.log(`  repeated: ${gateway.repeated}, out of order: ${gateway.disordered}`);
    gateway.report();
    console.log(`  waiting in MySQL: ${await waiting(db, run)}`);
    console.log(`  Temporal calls: ${await temporalCalls(port)}`);
    for (const [name, cpu] of after) {
      const each = ((cpu - (before.get(name) ?? 0)) / users.length) * 1_000;
      console.log(
        `  ${name}: ${each.toFixed(2)} ms of CPU a user, peak ${peakMb(pids.get(name)!)} MB`,
      );
    }
  } finally {
    await worker.end('SIGTERM');
    await etcd.delete().prefix(`/registry/users/user-${run}-`);
    etcd.close();
    gateway.stop();
    await db.close();
    await stack.down(started);
  }
}

/** A gateway that takes every push and keeps account of it. */
class Gateway {
  pushes = 0;
  repeated = 0;
  disordered = 0;
  address = '';
  private readonly server = new Server();
  private readonly seen: Map<string, Seen>;

  private constructor(users: readonly string[]) {
    const nothing = { appearedAt: 0, count: 0, lastSequence: 0, firstAt: 0, lastAt: 0 };
    this.seen = new Map(users.map((userId) => [userId, { ...nothing }]));
    const name = 'im_gateway_servicepb.UimUgatewayUserviceService';
    this.server.addService(loadService('gateway/gateway.proto', name).service, {
      PushMessage: (call: ServerUnaryCall<Push, object>, answer: sendUnaryData<object>) => {
        this.take(call.request);
        answer(null, { success: true, delivered_count: 1 });
      },
    });
  }

  static async start(users: readonly string[]): Promise<Gateway> {
    const gateway = new Gateway(users);
    const port = await new Promise<number>((resolve, reject) => {
      const credentials = ServerCredentials.createInsecure();
      gateway.server.bindAsync('127.0.0.1:0', credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    gateway.address = `127.0.0.1:${port}`;
    return gateway;
  }

  appeared(userId: string): void {
    const seen = this.seen.get(userId);
    if (seen) seen.appearedAt = performance.now();
  }

  /** How long after they appeared users had their first and their last message. */
  report(): void {
    const all = [...this.seen.values()];
    for (const at of ['firstAt', 'lastAt'] as const) {
      const times = all.map((seen) => seen[at] - seen.appearedAt).sort((a, b) => a - b);
      const share = (part: number): string =>
        ((times[Math.ceil(part * times.length) - 1] ?? 0) / 1_000).toFixed(1);
      const what = at === 'firstAt' ? 'first' : 'last';
      console.log(`  ${what} message after: p50 ${share(0.5)} s, p99 ${share(0.99)} s`);
    }
  }

  stop(): void {
    this.server.forceShutdown();
  }

  private take({ recipient_id, sequence_number }: Push): void {
    const seen = this.seen.get(recipient_id);
    if (!seen) return;
    const sequence = Number(sequence_number);
    if (sequence === seen.lastSequence) this.repeated += 1;
    else if (sequence !== seen.lastSequence + 1) this.disordered += 1;
    seen.lastSequence = sequence;
    seen.lastAt = performance.now();
    if (seen.count++ === 0) seen.firstAt = seen.lastAt;
    this.pushes += 1;
  }
}

interface Push {
  readonly recipient_id: string;
  readonly sequence_number: number | string;
}

async function storeAll(db: Database, users: readonly string[], pending: number): Promise<void> {
  const store = new MessageStore(db, { ttlMs: TTL_MS });
  for (let n = 0; n < pending; n++) {
    for (let from = 0; from < users.length; from += STORED_AT_ONCE) {
      const now = Date.now();
      const entries = users.slice(from, from + STORED_AT_ONCE).map((recipientId) => ({
        recipients: [recipientId],
        message: {
          msgId: `msg_${randomUUID()}`,
          senderId: 'bench-sender',
          recipientId,
          conversation: privateConversation('bench-sender', recipientId),
          content: CONTENT,
          sequenceNumber: n + 1,
          timestamp: now,
          acceptedAt: now,
          metadata: {},
        },
      }));
      await store.storeOffline(entries);
    }
  }
}

async function registerAll(etcd: Etcd3, users: readonly string[], gateway: Gateway): Promise<void> {
  const value = `${gateway.address}|${Math.floor(Date.now() / 1_000)}`;
  for (let from = 0; from < users.length; from += PUTS_AT_ONCE) {
    const some = users.slice(from, from + PUTS_AT_ONCE);
    await Promise.all(
      some.map((userId) => {
        gateway.appeared(userId);
        return etcd.put(`/registry/users/${userId}/phone`).value(value).exec();
      }),
    );
  }
}

async function waiting(db: Database, run: string): Promise<number> {
  const [row] = await db.select<{ pending: number | null }>(
    'SELECT SUM(pending) AS pending FROM inbox_heads WHERE user_id LIKE ?',
    [`user-${run}-%`],
  );
  return Number(row?.pending ?? 0);
}

/** By outcome, as the worker counts them. */
async function temporalCalls(port: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = [...text.matchAll(/delivery_starts_total\{outcome="(\w+)"\} (\d+)/g)];
  return lines.map(([, outcome, count]) => `${outcome} ${count}`).join(', ');
}

async function allEnded(address: string): Promise<void> {
  const connection = await Connection.connect({ address });
  const { workflow } = new Client({ connection });
  const query = 'ImRequest = "delivery" AND ExecutionStatus = "Running"';
  const deadline = performance.now() + 30_000;
  while ((await workflow.count(query)).count > 0 && performance.now() < deadline) await sleep(200);
  console.log(`  deliveries still running: ${(await workflow.count(query)).count}`);
  await connection.close();
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
