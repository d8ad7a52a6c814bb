/** Groups too large for a row for each member: everyone reads from a position, and sees no difference. */
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { sleep } from '../../src/activities/sleep';
import type { RunningWorker } from '../../src/worker';
import { people, rowsOf, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

/** Longer than the overlaps around a stay: what was sent shortly before or after may come again. */
const OUT_OF_OVERLAP_MS = 1_300;

let system: TestSystem;
let worker: RunningWorker;
let db: Database;
let temporal: Client;

beforeAll(async () => {
  system = await startSystem({
    GROUP_FANOUT_MAX: '50',
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_SWEEP_INTERVAL_S: '3600',
  });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  temporal = await connectTemporal(system.config);
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await db.close();
  await temporal.connection.close();
  await system.close();
});

const idsPushedTo = (userId: string) => system.gateway.pushesOf(userId).map((push) => push.msg_id);

async function noted(userId: string, isPresent: boolean): Promise<void> {
  await waitFor(`${userId} to be noted`, 10_000, async () => {
    const rows = await db.select<{ state: number }>(
      'SELECT state FROM group_readers WHERE user_id = ?',
      [userId],
    );
    return rows[0] !== undefined && rows[0].state === (isPresent ? 2 : 0);
  });
}

async function sweepsBegun(): Promise<number> {
  return (await temporal.schedule.getHandle('im-sweep').describe()).info.numActionsTaken;
}

/**
 * Resolves when a new worker's first sweep is over, which might find by itself what a test is about. Not
 * after long: it has much to do where other tests left many, and then it is not at these users.
 */
async function sweptOnce(before: number): Promise<void> {
  const schedule = temporal.schedule.getHandle('im-sweep');
  for (const until = Date.now() + 15_000; Date.now() < until; await sleep(200)) {
    const { info } = await schedule.describe();
    const last = info.recentActions.at(-1)?.action.workflow;
    if (info.numActionsTaken <= before || !last) await schedule.trigger();
    else if (!(await isRunning(last.workflowId))) return;
  }
}

async function isRunning(workflowId: string): Promise<boolean> {
  return (await temporal.workflow.getHandle(workflowId).describe()).status.name === 'RUNNING';
}

test('a message to a large group writes no row for any member', async () => {
  const members = people(200);
  const group = await TestGroup.make(system, members);
  const sent = await group.sendMany(members[0] as string, 5);
  await stored(db, sent);
  for (const msgId of sent) expect(await rowsOf(db, msgId)).toEqual([]);
  const log = await db.select<{ msg_id: string }>(
    'SELECT msg_id FROM group_log WHERE group_id = ? ORDER BY position',
    [group.id],
  );
  expect(log.map((entry) => entry.msg_id)).toEqual(sent);
});

test('a member who was away gets exactly what they missed, in order, each time they come back', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  const first = await group.sendMany(alice, 150);
  await stored(db, first);
  await system.gateway.connect(bob, 'phone');
  await system.gateway.received(bob, 150);
  expect(idsPushedTo(bob)).toEqual(first);
  await noted(bob, true);

  await sleep(OUT_OF_OVERLAP_MS);
  // Gateways push these; the test's own gateway reads no topic.
  const whilePresent = await group.sendMany(alice, 10);
  await stored(db, whilePresent);
  await sleep(OUT_OF_OVERLAP_MS);
  await system.gateway.disconnect(bob, 'phone');
  await noted(bob, false);

  const missed = await group.sendMany(alice, 20);
  await stored(db, missed);
  await system.gateway.connect(bob, 'phone');
  await system.gateway.received(bob, 170);
  await noted(bob, true);
  expect(idsPushedTo(bob)).toEqual([...first, ...missed]);
}, 60_000);

test('a sender never gets their own messages', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  await group.sendMany(alice, 3);
  const sent = await group.sendMany(bob, 2);
  await stored(db, sent);
  await system.gateway.connect(alice, 'phone');
  await system.gateway.received(alice, 2);
  await noted(alice, true);
  expect(idsPushedTo(alice)).toEqual(sent);
});

test('leaving and joining again keeps exactly what was missed while a member', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  const during = await group.sendMany(alice, 4);
  await stored(db, during);
  await group.leave(bob);
  await group.sendMany(alice, 4);
  await group.join(bob);
  const again = await group.sendMany(alice, 4);
  await stored(db, again);
  await waitFor('the stays', 10_000, async () => {
    const rows = await db.select('SELECT left_at FROM group_memberships WHERE user_id = ?', [bob]);
    return rows.length === 2;
  });
  await system.gateway.connect(bob, 'phone');
  await system.gateway.received(bob, 8);
  await noted(bob, true);
  expect(idsPushedTo(bob)).toEqual([...during, ...again]);
});

test('who joins gets nothing from before', async () => {
  const members = people(60);
  const [alice] = members as [string];
  const carol = unique('carol');
  const group = await TestGroup.make(system, members);
  await stored(db, await group.sendMany(alice, 4));
  await group.join(carol);
  await waitFor('the stay', 10_000, async () => {
    return (
      (await db.select('SELECT 1 FROM group_memberships WHERE user_id = ?', [carol])).length > 0
    );
  });
  const after = await group.sendMany(alice, 2);
  await stored(db, after);
  await system.gateway.connect(carol, 'phone');
  await system.gateway.received(carol, 2);
  await noted(carol, true);
  expect(idsPushedTo(carol)).toEqual(after);
});

test('who appears within the second of the message that makes the group large gets it too', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  await sleep(1_000 - (Date.now() % 1_000));
  const sent = await group.sendMany(alice, 8);
  await system.gateway.connect(bob, 'phone');
  const pushes = await system.gateway.received(bob, 8);
  expect(pushes.map((push) => push.msg_id)).toEqual(sent);
});

test('members who are present when the group becomes large are not sent what gateways push', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  await system.gateway.connect(bob, 'phone');
  await sleep(OUT_OF_OVERLAP_MS);
  await stored(db, await group.sendMany(alice, 3));
  await noted(bob, true);
  expect(idsPushedTo(bob)).toEqual([]);
});

test('who joins, misses messages and appears before any worker hears of it gets them', async () => {
  const members = people(60);
  const carol = unique('carol');
  const [alice] = members as [string];
  const group = await TestGroup.make(system, members);
  await stored(db, await group.sendMany(alice, 1));
  await worker.close();
  await group.join(carol);
  const missed = await group.sendMany(alice, 5);
  await sleep(OUT_OF_OVERLAP_MS);
  await system.gateway.connect(carol, 'phone');
  // As its group of consumers has it when both are far behind: messages first, then who joined.
  worker = await startTestWorker(system.config);
  await workerReady(worker);
  const pushes = await system.gateway.received(carol, 5);
  expect(pushes.map((push) => push.msg_id)).toEqual(missed);
}, 60_000);

test('who goes soon after a worker has started is noted as gone, and gets what comes then', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  await stored(db, await group.sendMany(alice, 1));
  await system.gateway.connect(bob, 'phone');
  await system.gateway.received(bob, 1);
  await noted(bob, true);
  await sleep(OUT_OF_OVERLAP_MS);
  await system.gateway.disconnect(bob, 'phone');
  await noted(bob, false);
  await worker.close();
  const sweeps = await sweepsBegun();
  worker = await startTestWorker(system.config);
  await workerReady(worker);
  await sweptOnce(sweeps);
  // Nothing waits for him: nobody has looked where he is.
  await system.gateway.connect(bob, 'phone');
  await noted(bob, true);
  await system.gateway.disconnect(bob, 'phone');
  await noted(bob, false);
  const missed = await group.sendMany(alice, 1);
  await system.gateway.connect(bob, 'phone');
  const pushes = await system.gateway.received(bob, 2);
  expect(pushes.map((push) => push.msg_id)).toContain(missed[0]);
}, 60_000);

test('who goes and comes back while no worker runs gets what they missed', async () => {
  const members = people(60);
  const [alice, bob] = members as [string, string];
  const group = await TestGroup.make(system, members);
  await system.gateway.connect(bob, 'phone');
  await sleep(OUT_OF_OVERLAP_MS);
  await stored(db, await group.sendMany(alice, 2));
  await noted(bob, true);
  await worker.close();
  await system.gateway.disconnect(bob, 'phone');
  const missed = await group.sendMany(alice, 5);
  // The registry has whole seconds, of clocks that may differ by some.
  await sleep(6_000);
  await system.gateway.connect(bob, 'phone');
  worker = await startTestWorker(system.config);
  await workerReady(worker);
  await stored(db, missed);
  await waitFor('the sweep to find out', 40_000, async () => {
    // One that is under way already may have passed by.
    await temporal.schedule.getHandle('im-sweep').trigger();
    await sleep(1_000);
    return system.gateway.pushesOf(bob).length >= 5;
  });
  await noted(bob, true);
  expect(idsPushedTo(bob)).toEqual(expect.arrayContaining(missed));
}, 90_000);
