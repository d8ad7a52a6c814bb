/**
 * How fast and how cheaply the worker brings each topic into MySQL: fills a topic while no worker runs,
 * then times how long one takes to drain it, and what each process spends on 1,000 records.
 * `npm run bench -- storage [TOPIC...] [--records=50000] [--worker-options=--cpu-prof]`.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Kafka, logLevel } from 'kafkajs';
import type { Message } from 'kafkajs';
import { pino } from 'pino';
import { offsetFrom, Stack } from '../dev/stack/stack';
import { DevUserService } from '../dev/user-service/user-service';
import { ensureTopics, TOPICS, topicSpecs } from '../src/activities/kafka/topics';
import { Database } from '../src/activities/mysql/database';
import { prepareSchema } from '../src/activities/mysql/schema';
import { loadConfig } from '../src/config';
import { projectRoot } from '../src/paths';
import { groupConversation, privateConversation } from '../src/domain/ids';
import { encodeGroup } from '../src/domain/group-records';
import { encodeDelivered, encodeOffline } from '../src/domain/records';
import { freePort, ProductProcess } from '../test/support/processes';
import { TestGateway } from '../test/support/gateway';
import { BENCH_OFFSET } from './harness/system';
import { cpuSeconds, peakMb } from './harness/cpu';

/** Recipients of the private messages, and members of the groups: 10 each, of whom half are away. */
const USERS = 5_000;
const SENDERS = 1_000;
const GROUPS = 200;
const MEMBERS = 10;
const CONTENT = 'x'.repeat(100);
/** Share of the records that a worker may take to warm up, uncounted. */
const WARM_UP = 0.1;
const FILL_BATCH = 2_000;
const POLL_MS = 200;
const DRAIN_DEADLINE_MS = 200_000;

const KINDS: Record<string, (run: string, n: number) => Message> = {
  [TOPICS.offline]: (run, n) => {
    const { message, recipientId } = privateMessage(run, n);
    return { key: recipientId, value: encodeOffline(message, recipientId) };
  },
  [TOPICS.delivered]: (run, n) => {
    const { message } = privateMessage(run, n);
    const entry = { message, deliveredAt: Date.now(), devices: ['phone'] };
    return { key: message.conversation.key, value: encodeDelivered(entry) };
  },
  [TOPICS.group]: (run, n) => {
    const group = n % GROUPS;
    const common = messageOf(n, `${groupId(run, group)}-member-0`);
    const conversation = groupConversation(groupId(run, group));
    return { key: conversation.key, value: encodeGroup({ ...common, conversation }) };
  },
};

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      records: { type: 'string', default: '50000' },
      'worker-options': { type: 'string', default: '' },
    },
  });
  const records = Number(values.records);
  const options = values['worker-options'].split(' ').filter((option) => option !== '');
  const stack = new Stack({
    instance: 'bench',
    offset: offsetFrom(process.env, BENCH_OFFSET),
    given: process.env,
    report: (line) => console.error(line),
  });
  const started = await stack.up();
  const log = pino({ level: 'silent' });
  const brokers = [stack.environment.KAFKA_BROKERS];
  const kafka = new Kafka({ brokers, clientId: 'bench', logLevel: logLevel.NOTHING });
  const config = loadConfig({ ...stack.environment });
  await ensureTopics(kafka, topicSpecs(config), { replication: 1, deadlineMs: 60_000, log });
  await prepareSchema({
    url: config.MYSQL_URL,
    owner: config.MYSQL_OWNER,
    folder: join(projectRoot(), 'migrations'),
    log,
  });
  const users = new DevUserService({ grpcPort: 0, httpPort: 0, kafkaBrokers: brokers }, log);
  await users.start();
  const gateway = await TestGateway.start([stack.environment.ETCD_ENDPOINTS]);
  const workerPort = await freePort();
  const env = {
    ...stack.environment,
    NODE_ENV: 'production',
    JWT_SECRET: 'of-the-benchmarks-0123456789abcdef',
    USER_SERVICE_ADDRESS: users.grpcAddress,
    IM_WORKER_HTTP_PORT: String(workerPort),
    LOG_LEVEL: process.env['LOG_LEVEL'] ?? 'error',
  };
  try {
    for (const topic of positionals.length > 0 ? positionals : Object.keys(KINDS)) {
      const run = randomUUID();
      if (topic === TOPICS.group) await makeGroups(run, users, gateway);
      await fill(kafka, topic, run, records);
      const worker = new ProductProcess('worker', workerPort, env, undefined, options);
      await drain(topic, records, stack, workerPort, worker);
    }
  } finally {
    await gateway.stop();
    await users.stop();
    await stack.down(started);
  }
}

async function makeGroups(run: string, users: DevUserService, gateway: TestGateway): Promise<void> {
  for (let group = 0; group < GROUPS; group++) {
    const id = groupId(run, group);
    const members = Array.from({ length: MEMBERS }, (_, i) => `${id}-member-${i}`);
    const response = await fetch(`${users.httpUrl}/groups/${id}`, {
      method: 'PUT',
      body: JSON.stringify({ members }),
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`the group was not made: ${response.status}`);
    const present = members.slice(0, MEMBERS / 2);
    await Promise.all(present.map((member) => gateway.connect(member, 'phone')));
  }
}

/** Leaves exactly these records in the topic. */
async function fill(kafka: Kafka, topic: string, run: string, records: number): Promise<void> {
  const admin = kafka.admin();
  await admin.connect();
  const partitions = (await admin.fetchTopicOffsets(topic)).map(({ partition }) => ({
    partition,
    offset: '-1',
  }));
  await admin.deleteTopicRecords({ topic, partitions });
  await admin.disconnect();
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  for (let from = 0; from < records; from += FILL_BATCH) {
    const count = Math.min(FILL_BATCH, records - from);
    const messages = Array.from({ length: count }, (_, i) => KINDS[topic]!(run, from + i));
    await producer.send({ topic, messages, acks: -1 });
  }
  await producer.disconnect();
}

async function drain(
  topic: string,
  records: number,
  stack: Stack,
  port: number,
  worker: ProductProcess,
): Promise<void> {
  const url = stack.environment.MYSQL_URL;
  const db = Database.open({ url, connections: 1, deadlineMs: 60_000 });
  const pids = new Map<string, number>();
  for (const { name, detail } of await stack.status()) pids.set(name, Number(detail.slice(4)));
  const spent = (): Map<string, number> =>
    new Map([...pids].map(([name, pid]) => [name, cpuSeconds(pid)]));
  try {
    const before = await counts(db);
    await worker.start();
    pids.set('worker', worker.pid);
    const warm = await until(port, topic, records * WARM_UP);
    const [beganAt, spentBefore] = [performance.now(), spent()];
    const end = await until(port, topic, records);
    const seconds = (performance.now() - beganAt) / 1_000;
    const spentAfter = spent();
    const thousands = (end - warm) / 1_000;
    console.log(`${topic}: ${end - warm} records in ${seconds.toFixed(1)} s`);
    console.log(`  ${((end - warm) / seconds).toFixed(0)} records/s`);
    for (const [name, cpu] of spentAfter) {
      const each = (cpu - (spentBefore.get(name) ?? 0)) / thousands;
      console.log(
        `  ${name}: ${each.toFixed(3)} CPU s for 1,000, peak ${peakMb(pids.get(name)!)} MB`,
      );
    }
    const after = await counts(db);
    const [messages, rows] = [after.messages - before.messages, after.rows - before.rows];
    console.log(`  stored: ${messages} messages, ${rows} inbox rows`);
    if (messages !== records) throw new Error(`${records} records, ${messages} messages`);
  } finally {
    await db.close();
    await worker.end('SIGTERM');
  }
}

/** Waits until the worker has handled so many records; resolves to how many it has. */
async function until(port: number, topic: string, records: number): Promise<number> {
  const wanted = new RegExp(`consumed_total\\{topic="${topic}",outcome="handled"\\} (\\d+)`);
  const deadline = performance.now() + DRAIN_DEADLINE_MS;
  while (performance.now() < deadline) {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    const handled = Number(wanted.exec(text)?.[1] ?? 0);
    if (handled >= records) return handled;
    await sleep(POLL_MS);
  }
  throw new Error(`${topic} is not drained after ${DRAIN_DEADLINE_MS} ms`);
}

async function counts(db: Database): Promise<{ messages: number; rows: number }> {
  const [row] = await db.select<{ messages: number; rowCount: number }>(
    'SELECT (SELECT COUNT(*) FROM messages) AS messages, (SELECT COUNT(*) FROM inbox) AS rowCount',
  );
  return { messages: row?.messages ?? 0, rows: row?.rowCount ?? 0 };
}

function groupId(run: string, group: number): string {
  return `group-${run.slice(0, 8)}-${group}`;
}

function privateMessage(run: string, n: number) {
  const senderId = `sender-${n % SENDERS}`;
  const recipientId = `user-${run.slice(0, 8)}-${n % USERS}`;
  const conversation = privateConversation(senderId, recipientId);
  return { message: { ...messageOf(n, senderId), conversation, recipientId }, recipientId };
}

function messageOf(n: number, senderId: string) {
  const now = Date.now();
  return {
    msgId: `msg_${randomUUID()}`,
    senderId,
    content: CONTENT,
    encoding: 'plain' as const,
    sequenceNumber: n + 1,
    timestamp: now,
    acceptedAt: now,
    metadata: {},
  };
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
