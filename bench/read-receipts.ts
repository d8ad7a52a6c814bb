/**
 * Many receipts to one sender at once: how fast they are taken, how many calls to Temporal they cost,
 * and whether each is one event on the topic. `npm run bench -- read-receipts [--receipts 10000]
 * [--connections 50] [--rounds 2]`.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createKafka } from '../src/activities/kafka/client';
import { Database } from '../src/activities/mysql/database';
import { MessageStore } from '../src/activities/mysql/message-store';
import { createLogger } from '../src/logger';
import { projectRoot } from '../src/paths';
import { unique } from '../test/support/ids';
import { ReceiptListener } from '../test/support/receipts';
import { series } from '../test/support/records';
import { waitFor } from '../test/support/wait';
import { CpuMeter, cpuPerThousand } from './harness/cpu';
import type { HttpLoad, HttpResult } from './harness/http-generator';
import { describeMachine } from './harness/machine';
import { round } from './harness/measure';
import { scrape } from './harness/metrics';
import { writeJson } from './harness/results';
import { JWT_SECRET, processesOf, startBenchSystem } from './harness/system';
import type { BenchSystem } from './harness/system';

const TTL_MS = 7 * 24 * 60 * 60 * 1_000;
/** Messages of a transaction that stores what is to be read. */
const STORED_AT_ONCE = 2_000;
/** Readers, where there are many. */
const MANY = 100;
/** Of the mix, how many receipts come one by one; the rest by whole conversations. */
const SINGLE_SHARE = 0.2;
/** For the requests of one load, and for the events after them. */
const LOAD_S = 120;
const EVENTS_MS = 120_000;
const NO_LIMITS = { IM_RATE_LIMIT_USER: '0', IM_RATE_LIMIT_ADDRESS: '0' };

const { values: args } = parseArgs({
  options: {
    receipts: { type: 'string', default: '10000' },
    connections: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '2' },
    name: { type: 'string', default: 'read-receipts' },
  },
});

interface Parts {
  readonly system: BenchSystem;
  readonly store: MessageStore;
  readonly topic: ReceiptListener;
  readonly meter: CpuMeter;
}

interface Outcome {
  readonly load: string;
  /** Until the last request was answered, and until the last event was on the topic. */
  readonly seconds: number;
  readonly eventsAfterS: number;
  readonly perSecond: number;
  readonly events: number;
  readonly twice: number;
  readonly temporalCalls: number;
  readonly cpu: Record<string, number>;
}

async function main(): Promise<void> {
  const system = await startBenchSystem(NO_LIMITS, { instance: 'bench-receipts', fresh: true });
  const { MYSQL_URL, KAFKA_BROKERS } = system.stack.environment;
  const db = Database.open({ url: MYSQL_URL, connections: 2, deadlineMs: 30_000 });
  const log = createLogger('silent', 'bench');
  const topic = await ReceiptListener.start(
    createKafka({ brokers: [KAFKA_BROKERS], clientId: 'bench', deadlineMs: 5_000, log }),
  );
  try {
    const parts: Parts = {
      system,
      store: new MessageStore(db, { ttlMs: TTL_MS }),
      topic,
      meter: new CpuMeter(processesOf(system)),
    };
    await oneByOne(parts, 'warm-up', 1);
    const outcomes: Outcome[] = [];
    for (let i = 0; i < Number(args.rounds); i++) {
      outcomes.push(await oneByOne(parts, 'one by one, 1 reader', 1));
      outcomes.push(await oneByOne(parts, `one by one, ${MANY} readers`, MANY));
      outcomes.push(await mixed(parts));
    }
    const machine = describeMachine(system.stack);
    console.log(writeJson(args.name, { machine, ...args, outcomes }));
  } finally {
    await topic.stop();
    await db.close();
    await system.close();
  }
}

/** Every message by a call of its own. */
function oneByOne(parts: Parts, name: string, readers: number): Promise<Outcome> {
  return measured(parts, name, readers, async (msgIds, tokens) => {
    return post(parts.system.httpPort, msgIds, tokens);
  });
}

/** Some messages one by one, and at the same time the conversation as a whole. */
function mixed(parts: Parts): Promise<Outcome> {
  return measured(parts, 'one by one and whole', 1, async (msgIds, tokens, conversation) => {
    const single = msgIds.slice(-Math.round(msgIds.length * SINGLE_SHARE));
    await Promise.all([
      post(parts.system.httpPort, single, tokens),
      readConversation(parts.system.httpPort, tokens[0] ?? '', conversation),
    ]);
  });
}

async function measured(
  { system, store, topic, meter }: Parts,
  name: string,
  readerCount: number,
  load: (msgIds: string[], tokens: string[], conversation: string) => Promise<unknown>,
): Promise<Outcome> {
  const receipts = Number(args.receipts);
  const sender = unique('sender');
  const readers = Array.from({ length: readerCount }, () => unique('reader'));
  const entries = readers.map((reader) => series(receipts / readerCount, reader, sender));
  // In turn, as the tokens are.
  const inTurn = Array.from({ length: receipts }, (_, i) => {
    return entries[i % readerCount]?.[Math.floor(i / readerCount)];
  }).filter((entry) => entry !== undefined);
  for (let i = 0; i < receipts; i += STORED_AT_ONCE) {
    await store.storeOffline(inTurn.slice(i, i + STORED_AT_ONCE));
  }
  const tokens = await Promise.all(readers.map(tokenFor));
  const msgIds = inTurn.map(({ message }) => message.msgId);
  const [calls, cpu, began] = [await temporalCalls(system), meter.read(), performance.now()];
  await load(msgIds, tokens, inTurn[0]?.message.conversation.id ?? '');
  const seconds = (performance.now() - began) / 1_000;
  const distinct = (): number => new Set(topic.of(sender).map((event) => event.msg_id)).size;
  await waitFor('every event', EVENTS_MS, () => Promise.resolve(distinct() === receipts));
  const outcome: Outcome = {
    load: name,
    seconds: round(seconds, 1),
    eventsAfterS: round((performance.now() - began) / 1_000, 1),
    perSecond: Math.round(receipts / seconds),
    events: distinct(),
    twice: topic.of(sender).length - receipts,
    temporalCalls: (await temporalCalls(system)) - calls,
    cpu: cpuPerThousand(cpu, meter.read(), receipts),
  };
  console.log(JSON.stringify(outcome));
  return outcome;
}

/** Signals that start or wake the workflow, from the server and from the worker's sweep. */
async function temporalCalls({ httpPort, workerHttpPort }: BenchSystem): Promise<number> {
  let calls = 0;
  for (const port of [httpPort, workerHttpPort]) {
    const metrics = await scrape(port);
    for (const outcome of ['woken', 'failed']) {
      calls += metrics.get(`im_service_read_receipt_wakes_total{outcome="${outcome}"}`) ?? 0;
    }
  }
  return calls;
}

async function post(port: number, msgIds: string[], tokens: string[]): Promise<void> {
  const child = fork(join(projectRoot(), 'dist', 'bench', 'harness', 'http-generator.js'));
  child.send({
    port,
    path: '/api/v1/messages/read',
    tokens,
    connections: Number(args.connections),
    warmUpS: 0,
    seconds: LOAD_S,
    bodies: msgIds.map((msgId) => JSON.stringify({ msg_id: msgId })),
  } satisfies HttpLoad);
  const [{ statuses, latency }] = (await once(child, 'message')) as [HttpResult];
  if (statuses['200'] !== msgIds.length)
    throw new Error(`not all 200: ${JSON.stringify(statuses)}`);
  console.log(`  POST p50 ${latency.p50} ms  p99 ${latency.p99} ms`);
}

async function readConversation(port: number, token: string, id: string): Promise<void> {
  const request = {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      conversation_type: 'private',
      conversation_id: id,
      up_to_sequence: Number.MAX_SAFE_INTEGER,
    }),
  };
  for (let more = true; more;) {
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/conversations/read`, request);
    if (answer.status !== 200) throw new Error(`conversation: ${answer.status}`);
    more = ((await answer.json()) as { has_more: boolean }).has_more;
  }
}

async function tokenFor(user: string): Promise<string> {
  const { SignJWT } = await import('jose');
  return new SignJWT({ sub: user, exp: Math.floor(Date.now() / 1_000) + 7_200 })
    .setProtectedHeader({ alg: 'HS256' })
    .sign(new TextEncoder().encode(JWT_SECRET));
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
