/** What group messages survive that Kafka forgets after an hour: nobody could say who is in the group. */
import type { Client } from '@temporalio/client';
import { Kafka, logLevel } from 'kafkajs';
import type { Database } from '../../src/activities/mysql/database';
import type { RunningWorker } from '../../src/worker';
import { people, rowsOf, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { TcpProxy } from '../support/tcp-proxy';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

const LARGE = 60;

let system: TestSystem;
/** The user service as the worker sees it; the server sees it always. */
let usersOfWorker: TcpProxy;
let worker: RunningWorker;
let db: Database;
let temporal: Client;

beforeAll(async () => {
  system = await startSystem({
    GROUP_FANOUT_MAX: '50',
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_SWEEP_INTERVAL_S: '3600',
  });
  usersOfWorker = new TcpProxy(system.config.USER_SERVICE_ADDRESS);
  await usersOfWorker.open();
  worker = await startWorker();
  db = await openDatabase();
  temporal = await connectTemporal(system.config);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await usersOfWorker.close();
  await db.close();
  await temporal.connection.close();
  await system.close();
}, 60_000);

async function startWorker(): Promise<RunningWorker> {
  const started = await startTestWorker({
    ...system.config,
    USER_SERVICE_ADDRESS: usersOfWorker.address,
  });
  await workerReady(started);
  return started;
}

async function sweptUntil(what: string, done: () => Promise<boolean>): Promise<void> {
  let next = 0;
  await waitFor(what, 60_000, async () => {
    if (Date.now() > next) {
      next = Date.now() + 2_000;
      await temporal.schedule.getHandle('im-sweep').trigger();
    }
    return done();
  });
}

async function waitingFor(user: string): Promise<string[]> {
  const rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  const { body } = await rest.get(user, '/api/v1/offline?limit=100');
  return body.messages.map((message) => message.msg_id);
}

test('user service away: known groups go on, messages of unknown ones are stored and get their rows later', async () => {
  const members = people(3);
  const [alice, bob, carol] = members as [string, string, string];
  const known = await TestGroup.make(system, members);
  await stored(db, await known.sendMany(alice, 1));
  const unknown = await TestGroup.make(system, members);
  const unknownLarge = await TestGroup.make(system, [alice, bob, ...people(LARGE)]);
  await usersOfWorker.close();
  const first = await unknown.sendMany(alice, 3);
  const inLog = await unknownLarge.sendMany(alice, 3);
  // Held for a moment, then put aside; offsets move on, and so nothing hangs on what Kafka keeps.
  await stored(db, [...first, ...inLog], 90_000);
  const goOn = await known.sendMany(alice, 2);
  await stored(db, goOn);
  for (const id of goOn) expect(await rowsOf(db, id)).toEqual([bob, carol].sort());
  for (const id of first) expect(await rowsOf(db, id)).toEqual([]);

  // Nobody waits for messages that have rows already: the order in the group stays.
  await usersOfWorker.open();
  const later = await unknown.sendMany(alice, 2);
  await stored(db, later);
  expect(await rowsOf(db, later[0] as string)).toEqual([]);
  await sweptUntil('their rows', async () => {
    const rows = await Promise.all([...first, ...later].map((id) => rowsOf(db, id)));
    return rows.every((users) => users.length === 2);
  });
  const inOrder = await db.select<{ msg_id: string }>(
    'SELECT msg_id FROM inbox WHERE user_id = ? AND msg_id IN (?) ORDER BY position',
    [carol, [...first, ...later]],
  );
  expect(inOrder.map((row) => row.msg_id)).toEqual([...first, ...later]);
  await sweptUntil('the log', async () => (await waitingFor(bob)).length === 11);
  expect(await waitingFor(bob)).toEqual(expect.arrayContaining(inLog));
  const left = await db.select('SELECT 1 FROM group_fanout_pending WHERE group_id IN (?)', [
    [unknown.id, unknownLarge.id],
  ]);
  expect(left).toEqual([]);
  // From now on nothing is put aside.
  const [direct] = await unknown.sendMany(alice, 1);
  await waitFor('rows at once', 20_000, async () => {
    return (await rowsOf(db, direct as string)).length === 2;
  });
}, 240_000);

test('membership changes that Kafka forgot before a worker read them: who left gets nothing after, who joined what came since', async () => {
  const members = people(LARGE);
  const [alice, bob, dave] = members as [string, string, string];
  const carol = unique('carol');
  const group = await TestGroup.make(system, members);
  const before = await group.sendMany(alice, 2);
  await stored(db, before);
  await heardUntil(Date.now());
  await worker.close();

  await group.leave(bob);
  await group.join(carol);
  await group.leave(dave);
  await group.join(dave);
  const after = await group.sendMany(alice, 2);
  await forgetMembershipChanges();
  worker = await startWorker();
  await stored(db, after);
  await waitFor('the members to be read anew', 60_000, async () => {
    const rows = await db.select(
      'SELECT 1 FROM group_memberships WHERE group_id = ? AND user_id = ? AND left_at IS NULL',
      [group.id, carol],
    );
    const doubts = await db.select(
      'SELECT 1 FROM large_groups WHERE group_id = ? AND doubtful_since IS NOT NULL',
      [group.id],
    );
    return rows.length === 1 && doubts.length === 0;
  });
  expect(await waitingFor(carol)).toEqual(after);
  expect(await waitingFor(bob)).toEqual(before);
  expect(await waitingFor(members[3] as string)).toEqual([...before, ...after]);
  const stays = await db.select('SELECT left_at FROM group_memberships WHERE user_id = ?', [dave]);
  expect(stays).toHaveLength(2);
}, 180_000);

/** Waits until the worker has noted that it knew of all changes at a time. */
async function heardUntil(time: number): Promise<void> {
  await waitFor('the worker to look', 30_000, async () => {
    const [row] = await db.select<{ at: number }>(
      'SELECT MIN(heard_at) AS at FROM membership_watch',
    );
    return (row?.at ?? 0) > time;
  });
}

/** As when nobody read the topic for longer than it keeps records. */
async function forgetMembershipChanges(): Promise<void> {
  const kafka = new Kafka({ brokers: system.config.KAFKA_BROKERS, logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  const ends = await admin.fetchTopicOffsets('membership_change');
  await admin.deleteTopicRecords({
    topic: 'membership_change',
    partitions: ends.map(({ partition, high }) => ({ partition, offset: high })),
  });
  await admin.disconnect();
}
