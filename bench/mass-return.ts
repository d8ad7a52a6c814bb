/**
 * Many users coming back at once, each with messages that wait: how long until all have theirs, in
 * order, and what it costs Temporal.
 * `npm run bench -- mass-return [--users=10000] [--pending=20] [--deadline=SECONDS]`.
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
import { cpuSeconds, peakMb } from './harness/cpu';
import { describeMachine } from './harness/machine';
import type { Machine } from './harness/machine';
import { machineLine, table } from './harness/markdown';
import { round } from './harness/measure';
import { writeSummary } from './harness/results';
import { BENCH_OFFSET } from './harness/system';

const TTL_MS = 7 * 24 * 60 * 60 * 1_000;
const CONTENT = 'x'.repeat(100);
/** Entries of a transaction that stores what is to wait, and registrations at once. */
const STORED_AT_ONCE = 500;
const PUTS_AT_ONCE = 100;
/** Given up after this long for each user, and at the least, s; --deadline says otherwise. */
const DEADLINE_USER_S = 0.1;
const DEADLINE_MIN_S = 200;
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
      deadline: { type: 'string' },
      name: { type: 'string', default: 'mass-return' },
      'worker-options': { type: 'string', default: '' },
    },
  });
  const pending = Number(values.pending);
  const run = randomUUID().slice(0, 8);
  const users = Array.from({ length: Number(values.users) }, (_, i) => `user-${run}-${i}`);
  const deadlineMs =
    1_000 * Number(values.deadline ?? Math.max(DEADLINE_MIN_S, users.length * DEADLINE_USER_S));
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
    while (gateway.pushes < total && performance.now() - began < deadlineMs) await sleep(100);
    const seconds = (performance.now() - began) / 1_000;
    const after = spent();
    const stillRunning = await runningDeliveries(stack.environment.TEMPORAL_ADDRESS);
    const result: Result = {
      machine: describeMachine(stack),
      users: users.length,
      pending,
      registeredS: round(registered / 1_000, 1),
      seconds: round(seconds, 1),
      perSecond: round(gateway.pushes / seconds, 0),
      pushed: gateway.pushes,
      repeated: gateway.repeated,
      disordered: gateway.disordered,
      first: gateway.spread('firstAt'),
      last: gateway.spread('lastAt'),
      waiting: await waiting(db, run),
      stillRunning,
      temporalCalls: await temporalCalls(port),
      cpu: Object.fromEntries(
        [...after].map(([name, cpu]) => [
          name,
          round(((cpu - (before.get(name) ?? 0)) / users.length) * 1_000, 2),
        ]),
      ),
      peakMb: Object.fromEntries([...pids].map(([name, pid]) => [name, peakMb(pid)])),
    };
    const text = paragraphs(values.name, result);
    console.log(text.slice(2).join('\n\n'));
    console.log(writeSummary(values.name, result, text));
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

  /** How long after they appeared users had their first, or their last message. */
  spread(at: 'firstAt' | 'lastAt'): Spread {
    const times = [...this.seen.values()]
      // Never is later than anything.
      .map((seen) => (seen.count > 0 ? seen[at] - seen.appearedAt : Infinity))
      .sort((a, b) => a - b);
    const share = (part: number): number =>
      round((times[Math.ceil(part * times.length) - 1] ?? 0) / 1_000, 1);
    return { p50: share(0.5), p99: share(0.99) };
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
async function temporalCalls(port: number): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  const lines = [...text.matchAll(/delivery_starts_total\{outcome="(\w+)"\} (\d+)/g)];
  return Object.fromEntries(lines.map(([, outcome = '', count]) => [outcome, Number(count)]));
}

/** Deliveries that have not ended when half a minute has passed. */
async function runningDeliveries(address: string): Promise<number> {
  const connection = await Connection.connect({ address });
  const { workflow } = new Client({ connection });
  const query = 'ImRequest = "delivery" AND ExecutionStatus = "Running"';
  const deadline = performance.now() + 30_000;
  while ((await workflow.count(query)).count > 0 && performance.now() < deadline) await sleep(200);
  const { count } = await workflow.count(query);
  await connection.close();
  return count;
}

/** Seconds. */
interface Spread {
  readonly p50: number;
  readonly p99: number;
}

interface Result {
  readonly machine: Machine;
  readonly users: number;
  readonly pending: number;
  readonly registeredS: number;
  readonly seconds: number;
  readonly perSecond: number;
  readonly pushed: number;
  readonly repeated: number;
  readonly disordered: number;
  readonly first: Spread;
  readonly last: Spread;
  /** Messages still in MySQL as waiting. */
  readonly waiting: number;
  readonly stillRunning: number;
  readonly temporalCalls: Record<string, number>;
  /** ms a user */
  readonly cpu: Record<string, number>;
  readonly peakMb: Record<string, number>;
}

function paragraphs(name: string, result: Result): string[] {
  const { users, pending, pushed, seconds, perSecond, first, last, cpu } = result;
  const calls = Object.entries(result.temporalCalls).map(([outcome, n]) => `${n} ${outcome}`);
  return [
    `# Many users back at once: ${name}`,
    machineLine(result.machine),
    `${users} users with ${pending} waiting messages each, registered within ${result.registeredS} s: ` +
      `${pushed} of ${users * pending} messages pushed in ${seconds} s, ${perSecond}/s; ` +
      `${result.repeated} repeated, ${result.disordered} out of order, ${result.waiting} still ` +
      `waiting in MySQL.`,
    `First message after p50 ${first.p50} s, p99 ${first.p99} s; last after p50 ${last.p50} s, ` +
      `p99 ${last.p99} s.`,
    `Calls to Temporal: ${calls.join(', ')}; deliveries still running: ${result.stillRunning}.`,
    table(
      ['process', 'CPU ms a user', 'peak MB'],
      Object.entries(cpu).map(([of, ms]) => [of, ms.toFixed(2), String(result.peakMb[of] ?? '')]),
    ),
  ];
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
