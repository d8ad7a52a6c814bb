/**
 * What the deletion of a message survives: its worker killed at each step, Temporal away, the consumer
 * groups read from the beginning again. Other servers away: requests-wait.test.ts.
 */
import type { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import type { Connection } from 'mysql2/promise';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import type { GdprProof } from '../../src/domain/gdpr';
import { stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { connectKafka } from '../support/kafka';
import type { ProductProcess } from '../support/processes';
import type { RestClient } from '../support/rest-client';
import { tokenFor } from '../support/rest-client';
import { without } from '../support/stack';
import type { TestSystem } from '../support/system';
import { tracesOf } from '../support/traces';
import { waitFor } from '../support/wait';
import { startWithWorker } from '../support/worker-process';

/** More than the pause of a workflow that waits, and a worker's start, ms. */
const PATIENCE_MS = 120_000;

const clientId = unique('im');
let system: TestSystem;
let worker: ProductProcess;
let db: Database;
let redis: Redis;
let rest: RestClient;
let temporal: Client;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ system, worker, db, redis, rest, temporal, close } = await startWithWorker({
    IM_KAFKA_CLIENT_ID: clientId,
    IM_SWEEP_INTERVAL_S: '2',
  }));
}, 120_000);
afterAll(() => close(), 60_000);

/** A message that waits, and was read: there is something of it everywhere. */
class Doomed {
  readonly msgId = unique('msg');
  readonly content = unique('content');
  readonly alice = unique('alice');
  readonly bob = unique('bob');

  static async sent(): Promise<Doomed> {
    const doomed = new Doomed();
    const { msgId, content, alice, bob } = doomed;
    const answer = await system.send(alice, bob, content, msgId);
    if (!answer.success) throw new Error(answer.error_message);
    await stored(db, [msgId], PATIENCE_MS);
    const read = { msg_id: msgId, device_id: 'phone' };
    expect((await rest.post(bob, '/api/v1/messages/read', read)).status).toBe(200);
    return doomed;
  }

  async remove(): Promise<number> {
    const { status } = await rest.send('DELETE', `/api/v1/messages/${this.msgId}`, {
      authorization: `Bearer ${await tokenFor(this.alice)}`,
    });
    return status;
  }

  get handle() {
    return temporal.workflow.getHandle(`gdpr-delete/${this.msgId}`);
  }

  /** Resolves when an activity of that name is being tried. */
  async at(activity: string): Promise<void> {
    await waitFor(activity, 60_000, async () => {
      const { raw } = await this.handle.describe();
      return raw.pendingActivities?.some((one) => one.activityType?.name === activity) ?? false;
    });
  }

  /** The deletion ends as it always does, and nothing is left. */
  async gone(): Promise<void> {
    await waitFor('the deletion to end', PATIENCE_MS, async () => (await this.remove()) === 200);
    const proof = (await this.handle.result()) as GdprProof;
    expect(proof.state).toBe('done');
    expect(proof.steps.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'erased_list done',
      'redis done',
      'mysql_messages done',
      'export_bundles done',
      'mysql_group_log done',
      'mysql_inbox done',
      'mysql_receipts done',
      'redis_counts done',
      'kafka done',
    ]);
    expect(await tracesOf(db, redis, [this.msgId, this.content])).toEqual([]);
    const rows = await db.select<{ outcome: string }>(
      'SELECT outcome FROM audit_logs WHERE subject_id = ? AND actor = ?',
      [this.msgId, 'system'],
    );
    expect(rows).toEqual([{ outcome: 'done' }]);
  }
}

interface Hold {
  release(): Promise<void>;
}

/** Holds MySQL rows until released: whoever needs them waits. */
async function hold(sql: string, values: unknown[] = []): Promise<Hold> {
  const connection: Connection = await createConnection({ uri: system.config.MYSQL_URL });
  // The rows alone, not the gaps between them: others' messages are stored and read meanwhile.
  await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  await connection.query('START TRANSACTION');
  await connection.query(sql, values);
  return {
    release: async () => {
      await connection.query('ROLLBACK');
      await connection.end();
    },
  };
}

/** What holds up an activity of one deletion. */
const HOLDS = {
  listErased: ({ msgId }: Doomed) =>
    hold('INSERT INTO erased_messages VALUES (?, 0, "", 0, 1)', [msgId]),
  removeContent: ({ msgId }: Doomed) =>
    hold('SELECT 1 FROM messages WHERE msg_id = ? FOR UPDATE', [msgId]),
  removeExports: ({ alice }: Doomed) =>
    hold('INSERT INTO export_senders VALUES (?, ?)', [unique('bundle'), alice]),
  removeFromGroupLog: ({ msgId }: Doomed) =>
    hold('INSERT INTO group_log VALUES (?, 1, ?, "", 0)', [unique('none'), msgId]),
  clearInboxes: ({ bob }: Doomed) =>
    hold('SELECT 1 FROM inbox_heads WHERE user_id = ? FOR UPDATE', [bob]),
  removeReceipts: ({ msgId }: Doomed) =>
    hold('SELECT 1 FROM read_receipts WHERE msg_id = ? FOR UPDATE', [msgId]),
};
type Held = keyof typeof HOLDS;

/** Takes a deletion to the activity and keeps it there. */
async function stuckAt(activity: Held): Promise<{ doomed: Doomed; held: Hold }> {
  const doomed = await Doomed.sent();
  const held = await HOLDS[activity](doomed);
  expect(await doomed.remove()).toBe(202);
  await doomed.at(activity);
  return { doomed, held };
}

test('its worker SIGKILLed at every step: another goes on, and the end is the same', async () => {
  const steps = Object.keys(HOLDS) as Held[];
  const stuck = await Promise.all(steps.map(stuckAt));
  // What would hold up all of them at once comes last, for deletions that are held until then.
  const [ending, counting, beginning] = await Promise.all([
    stuckAt('removeReceipts'),
    stuckAt('removeReceipts'),
    stuckAt('listErased'),
  ]);
  const audit = await hold('SELECT 1 FROM audit_head FOR UPDATE');
  await ending.held.release();
  await ending.doomed.at('finishGdprJob');
  await redis.call('CLIENT', 'PAUSE', '60000', 'WRITE');
  await Promise.all([counting.held.release(), beginning.held.release()]);
  await counting.doomed.at('forgetCounts');
  await beginning.doomed.at('forgetInRedis');
  await Promise.all(stuck.map(({ doomed }, i) => doomed.at(steps[i]!)));
  await worker.end('SIGKILL');
  await redis.call('CLIENT', 'UNPAUSE');
  await Promise.all([audit, ...stuck.map(({ held }) => held)].map((one) => one.release()));
  await worker.start();
  for (const { doomed } of [...stuck, ending, counting, beginning]) await doomed.gone();
}, 300_000);

test('Temporal away: the request is taken all the same, and the sweep starts it later', async () => {
  const doomed = await Doomed.sent();
  await without('temporal', async () => expect(await doomed.remove()).toBe(202));
  await doomed.gone();
}, 240_000);

test('consumer groups read from the beginning again: nothing comes back', async () => {
  const doomed = await Doomed.sent();
  const { alice, bob } = doomed;
  const online = new Doomed();
  await system.gateway.connect(online.bob, 'phone');
  await system.send(online.alice, online.bob, online.content, online.msgId);
  const group = await TestGroup.make(system, [alice, bob]);
  const [groupMsg, groupContent] = [unique('msg'), unique('content')];
  await group.send(alice, groupContent, groupMsg);
  await stored(db, [online.msgId, groupMsg], PATIENCE_MS);
  await doomed.gone();
  await online.gone();
  const headers = { authorization: `Bearer ${await tokenFor(alice)}` };
  expect((await rest.send('DELETE', `/api/v1/messages/${groupMsg}`, headers)).status).toBe(200);

  await worker.end('SIGTERM');
  const admin = connectKafka().admin();
  await admin.connect();
  for (const [name, topic] of [
    ['offline', 'offline_msg'],
    ['delivered', 'private_msg'],
    ['group', 'group_msg'],
  ] as const) {
    await admin.resetOffsets({ groupId: `${clientId}-${name}`, topic, earliest: true });
  }
  await admin.disconnect();
  await worker.start();
  // On the same partitions, so behind all that is read again.
  const after = [unique('msg'), unique('msg'), unique('msg')] as [string, string, string];
  await system.send(alice, bob, 'after', after[0]);
  await system.send(online.alice, online.bob, 'after', after[1]);
  await group.send(alice, 'after', after[2]);
  await stored(db, after, PATIENCE_MS);
  const texts = [doomed, online].flatMap(({ msgId, content }) => [msgId, content]);
  expect(await tracesOf(db, redis, [...texts, groupMsg, groupContent])).toEqual([]);
}, 240_000);
