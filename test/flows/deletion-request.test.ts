/** A deletion as those see it who follow it: in Temporal, and when a legal hold stands against it. */
import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { Holds } from '../../src/activities/mysql/holds';
import type { RunningWorker } from '../../src/worker';
import { Deletions } from '../support/deletions';
import { stored } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

let system: TestSystem;
let worker: RunningWorker;
let db: Database;
let redis: Redis;
let temporal: Client;
let deletions: Deletions;

beforeAll(async () => {
  system = await startSystem({
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_TEMPORAL_TASK_QUEUE: unique('queue'),
  });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  redis = new Redis(system.config.REDIS_URL);
  const rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  deletions = new Deletions({ client: system.client, rest, db, redis });
  temporal = await connectTemporal(system.config);
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await temporal.connection.close();
  redis.disconnect();
  await db.close();
  await system.close();
});

async function sent(): Promise<{ alice: string; msgId: string; content: string }> {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  return { alice, msgId, content };
}

test('the workflow can be followed by anyone who has Temporal’s UI, and its result is the proof', async () => {
  const { alice, msgId, content } = await sent();
  await deletions.removeForGood(alice, msgId, content);
  const handle = temporal.workflow.getHandle(`gdpr-delete/${msgId}`);
  const proof = (await handle.result()) as {
    steps: { name: string; counts: Record<string, number> }[];
  };
  expect(proof.steps.map(({ name }) => name)).toEqual([
    'erased_list',
    'redis',
    'mysql_messages',
    'export_bundles',
    'mysql_group_log',
    'mysql_inbox',
    'mysql_receipts',
    'redis_counts',
    'kafka',
  ]);
  expect(proof.steps[2]?.counts).toMatchObject({ messages: 1 });
  expect(proof.steps[5]?.counts).toEqual({ rows: 1, waiting: 1 });
  const history = JSON.stringify(await handle.fetchHistory());
  expect(history).not.toContain(Buffer.from(content).toString('base64').slice(0, 12));
  const found = await temporal.workflow.count(`ImRequest = "delete" AND ImUserId = "${alice}"`);
  expect(found.count).toBe(1);
});

test('a legal hold blocks it before anything is destroyed, and it can be asked for again afterwards', async () => {
  const { alice, msgId, content } = await sent();
  const holds = new Holds(db, Date.now);
  const { holdId } = await holds.place({
    holdId: randomUUID(),
    kind: 'user',
    subject: alice,
    reason: 'a case',
    placedBy: 'officer',
  });
  const blocked = await deletions.remove(alice, msgId);
  expect(blocked.status).toBe(409);
  expect(blocked.body.code).toBe('LEGAL_HOLD');
  await stored(db, [msgId]);
  expect(await db.select('SELECT 1 FROM erased_messages WHERE msg_id = ?', [msgId])).toEqual([]);
  await holds.release(holdId, 'officer');
  await deletions.removeForGood(alice, msgId, content);
});
