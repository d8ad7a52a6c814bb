/** Members who are away: each gets the message once, in their inbox and then on their devices. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../src/activities/mysql/database';
import type { RunningWorker } from '../../src/worker';
import { people, rowsOf, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker, workerReady } from '../support/worker';

let system: TestSystem;
let worker: RunningWorker;
let db: Database;

beforeAll(async () => {
  // A consumer group of its own: other tests' workers ask other user services.
  system = await startSystem({ GROUP_FANOUT_MAX: '10000', IM_KAFKA_CLIENT_ID: unique('im') });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await db.close();
  await system.close();
});

test('5,000 members, half of them away: each of those has one row, nobody else has any', async () => {
  const members = people(5_000);
  const [present, absent] = [members.slice(0, 2_500), members.slice(2_500)];
  const group = await TestGroup.make(system, members);
  for (let i = 0; i < present.length; i += 500) {
    const some = present.slice(i, i + 500);
    await Promise.all(some.map((userId) => system.gateway.connect(userId, 'phone')));
  }
  // Of whom the worker has not heard yet could have come after the message as well.
  await sleep(500);
  const [msgId] = (await group.sendMany(present[0] as string, 1)) as [string];
  await waitFor('the last row', 30_000, async () => (await rowsOf(db, msgId)).length >= 2_500);
  await stored(db, await group.sendMany(present[0] as string, 1));
  // Who was there is looked for a second time.
  await sleep(1_500);
  expect(await rowsOf(db, msgId)).toEqual([...absent].sort());
}, 120_000);

test('who disconnects just after a message, before their gateway can have read it, has a row', async () => {
  const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
  const group = await TestGroup.make(system, [alice, bob, carol]);
  await stored(db, await group.sendMany(alice, 1));
  await system.gateway.connect(carol, 'phone');
  let msgId = '';
  for (let took = Infinity; took > 900;) {
    // On a slow machine more than a second may have passed: then once more.
    await system.gateway.connect(bob, 'phone');
    await sleep(4_000);
    const began = Date.now();
    [msgId] = (await group.sendMany(alice, 1)) as [string];
    await stored(db, [msgId]);
    // The worker has found both of them there.
    expect(await rowsOf(db, msgId)).toEqual([]);
    await system.gateway.disconnect(bob, 'phone');
    took = Date.now() - began;
  }
  await waitFor('the row', 20_000, async () => (await rowsOf(db, msgId)).length > 0);
  expect(await rowsOf(db, msgId)).toEqual([bob]);
  await system.gateway.connect(bob, 'phone');
  await waitFor('the push', 20_000, () => {
    const pushes = system.gateway.pushesOf(bob);
    return Promise.resolve(pushes.some((push) => push.msg_id === msgId));
  });
}, 120_000);

test('who appears within the second in which a message was sent gets it too, once stored', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const group = await TestGroup.make(system, [alice, bob]);
  await stored(db, await group.sendMany(alice, 1));
  await sleep(1_000 - (Date.now() % 1_000));
  // The last of several is still to be worked on when he comes; the registry gives both the same second.
  const sent = await group.sendMany(alice, 8);
  await system.gateway.connect(bob, 'phone');
  const msgId = sent.at(-1) as string;
  const pushes = await system.gateway.received(bob, 9);
  expect(pushes.map((push) => push.msg_id)).toContain(msgId);
  expect(await rowsOf(db, msgId)).toEqual([bob]);
});

test('who comes back gets what they missed in sequence order, without asking', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const group = await TestGroup.make(system, [alice, bob]);
  const sent = await group.sendMany(alice, 30);
  await stored(db, sent);
  await system.gateway.connect(bob, 'phone');
  const pushes = await system.gateway.received(bob, 30);
  expect(pushes.map((push) => push.msg_id)).toEqual(sent);
  expect(pushes.map((push) => push.sequence_number)).toEqual(sent.map((_, i) => i + 1));
  expect(system.gateway.pushesOf(alice)).toEqual([]);
  expect(await system.client.status(sent[0] as string)).toMatchObject({ status: 'delivered' });
});

test('who leaves gets nothing sent after, who joins nothing from before', async () => {
  const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
  const group = await TestGroup.make(system, [alice, bob]);
  const before = await group.sendMany(alice, 3);
  await group.leave(bob);
  await group.join(carol);
  const after = await group.sendMany(alice, 3);
  await stored(db, [...before, ...after]);
  for (const msgId of before) expect(await rowsOf(db, msgId)).toEqual([bob]);
  for (const msgId of after) expect(await rowsOf(db, msgId)).toEqual([carol]);
});
