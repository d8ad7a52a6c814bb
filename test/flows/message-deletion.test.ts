/** DELETE of a message in each state it can be in: afterwards nothing holds it, and nothing brings it back. */
import { Redis } from 'ioredis';
import type { BatchingProducer } from '../../src/activities/kafka/producer';
import { deadLetterTopic, TOPICS } from '../../src/activities/kafka/topics';
import type { Database } from '../../src/activities/mysql/database';
import { MessageRemoval } from '../../src/activities/mysql/message-removal';
import { groupConversation } from '../../src/domain/ids';
import { encodeDelivered, encodeOffline } from '../../src/domain/records';
import type { RunningWorker } from '../../src/worker';
import { Deletions } from '../support/deletions';
import { people, rowsOf, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { connectKafka, createProducer, readUntil } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { message } from '../support/records';
import { RestClient } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { tracesOf } from '../support/traces';
import { waitFor } from '../support/wait';
import { startTestWorker, workerReady } from '../support/worker';

const LARGE = 1_100;

let system: TestSystem;
let worker: RunningWorker;
let db: Database;
let redis: Redis;
let rest: RestClient;
let deletions: Deletions;
let producer: BatchingProducer;
let alice: string;
let bob: string;

beforeAll(async () => {
  system = await startSystem({
    GROUP_FANOUT_MAX: String(LARGE),
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_TEMPORAL_TASK_QUEUE: unique('queue'),
    IM_RATE_LIMIT_USER: '0',
    IM_RATE_LIMIT_ADDRESS: '0',
  });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  redis = new Redis(system.config.REDIS_URL);
  rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  deletions = new Deletions({ client: system.client, rest, db, redis });
  producer = await createProducer(connectKafka());
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await producer.close();
  redis.disconnect();
  await db.close();
  await system.close();
});
beforeEach(() => ([alice, bob] = [unique('alice'), unique('bob')]));

const remove = (user: string, msgId: string, scope = '') => deletions.remove(user, msgId, scope);
const removeForGood = (user: string, msgId: string, content: string) =>
  deletions.removeForGood(user, msgId, content);

async function inMysql(msgId: string): Promise<boolean> {
  return (await db.select('SELECT 1 FROM messages WHERE msg_id = ?', [msgId])).length > 0;
}

const pendingOf = async (user: string): Promise<number> => {
  const [row] = await db.select<{ pending: number }>(
    'SELECT pending FROM inbox_heads WHERE user_id = ?',
    [user],
  );
  return row?.pending ?? 0;
};

test('delivered online: nothing is left, and the history is a gap', async () => {
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.gateway.connect(bob, 'phone');
  expect(await system.send(alice, bob, content, msgId)).toMatchObject({ status: 'delivered' });
  await system.send(alice, bob, 'stays');
  await stored(db, [msgId]);
  await removeForGood(alice, msgId, content);
  const path = `/api/v1/conversations/private/${[alice, bob].sort().join('_')}/messages`;
  await waitFor('the other message', 20_000, async () => {
    return (await rest.get(bob, path)).body.messages.length === 1;
  });
  expect((await rest.get(bob, path)).body.messages[0]?.content).toBe('stays');
});

test('pending offline: it leaves the inbox, its count and the quota, and a cursor at it keeps its place', async () => {
  const ids = [unique('msg'), unique('msg'), unique('msg')] as const;
  const content = unique('content');
  for (const id of ids) await system.send(alice, bob, id === ids[1] ? content : 'stays', id);
  await stored(db, ids);
  expect(await pendingOf(bob)).toBe(3);
  await removeForGood(alice, ids[1], content);
  expect(await pendingOf(bob)).toBe(2);
  expect(await redis.get(`inbox:count:${bob}`)).toBeNull();
  const idsIn = (answer: Answer) => answer.body.messages.map(({ msg_id }) => msg_id);
  const all = await rest.get(bob, '/api/v1/offline');
  expect(idsIn(all)).toEqual([ids[0], ids[2]]);
  expect(all.body.total_count).toBe(2);
  expect(idsIn(await rest.get(bob, `/api/v1/offline?cursor=${ids[1]}`))).toEqual([ids[2]]);
});

test('pending for the 1,000 members of a group', async () => {
  const members = people(1_000);
  const group = await TestGroup.make(system, members);
  const [msgId, content] = [unique('msg'), unique('content')];
  expect(await group.send(members[0] as string, content, msgId)).toMatchObject({ success: true });
  await waitFor('999 rows', 60_000, async () => (await rowsOf(db, msgId)).length === 999);
  await removeForGood(members[0] as string, msgId, content);
  const [row] = await db.select<{ n: number }>(
    'SELECT SUM(pending) AS n FROM inbox_heads WHERE user_id IN (?)',
    [members],
  );
  expect(Number(row?.n)).toBe(0);
}, 120_000);

test('in the log of a large group: the hole stops no reader', async () => {
  const members = people(LARGE + 1);
  const [sender, reader] = members as [string, string];
  const group = await TestGroup.make(system, members);
  const content = unique('content');
  const ids: string[] = [];
  for (let i = 0; i < 5; i++) {
    const id = unique('msg');
    await group.send(sender, i === 2 || i === 4 ? content : 'stays', id);
    ids.push(id);
  }
  await stored(db, ids, 60_000);
  await removeForGood(sender, ids[2] as string, content).catch((error: unknown) => {
    // The fifth still has the same content.
    expect(String(error)).toContain(content);
  });
  await removeForGood(sender, ids[4] as string, content);
  await system.gateway.connect(reader, 'phone');
  const pushes = await system.gateway.received(reader, 3);
  expect(pushes.map((push) => push.msg_id)).toEqual([ids[0], ids[1], ids[3]]);
}, 120_000);

test('read: receipts and their sums go too, and what its reader does late leaves nothing', async () => {
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  await rest.post(bob, '/api/v1/messages/read', { msg_id: msgId });
  await waitFor('the summary', 20_000, async () => {
    return (await db.select('SELECT 1 FROM read_summaries WHERE msg_id = ?', [msgId])).length > 0;
  });
  await removeForGood(alice, msgId, content);
  const late = await rest.post(bob, '/api/v1/messages/read', { msg_id: msgId });
  expect(late.status).toBe(404);
  // Asked for before the deletion, done after it.
  expect(await new MessageRemoval(db).hide(bob, msgId, Date.now())).toEqual({ hidden: 0 });
  expect(await pendingOf(bob)).toBe(0);
  expect(await tracesOf(db, redis, [msgId])).toEqual([]);
});

test('in flight at that moment: it ends erased', async () => {
  const ids = Array.from({ length: 20 }, () => unique('msg'));
  const content = unique('content');
  // Each deletion races with the routing of its message; one that came too early is made again.
  await Promise.all(
    ids.map(async (msgId) => {
      const sending = system.send(alice, bob, content, msgId);
      await waitFor('the id to be known', 10_000, async () => {
        return [200, 202].includes((await remove(alice, msgId)).status);
      });
      await sending;
    }),
  );
  await waitFor('all to end', 60_000, async () => {
    const answers = await Promise.all(ids.map((msgId) => remove(alice, msgId)));
    return answers.every(({ status }) => status === 200);
  });
  // Consumed after these, so all of them are through.
  const after = unique('msg');
  await system.send(alice, bob, 'after', after);
  await stored(db, [after]);
  expect(await tracesOf(db, redis, [...ids, content])).toEqual([]);
}, 120_000);

test('in the dead letters: replayed, it is dropped; the proof says until when the copy lies there', async () => {
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  // The same id, said to be somebody else's message: refused for good, with its content.
  const other = message({ msgId, senderId: unique('other'), recipientId: bob, content });
  await producer.append(TOPICS.offline, { key: bob, value: encodeOffline(other, bob) });
  await readUntil(connectKafka(), deadLetterTopic(TOPICS.offline), ({ value }) =>
    value.includes(msgId),
  );
  await removeForGood(alice, msgId, content);
  const [row] = await db.select<{ expires: string }>(
    `SELECT expires FROM gdpr_jobs j JOIN erased_messages e ON e.job_id = j.job_id
     WHERE e.msg_id = ?`,
    [msgId],
  );
  const expires = JSON.parse(row?.expires ?? '[]') as { what: string; at: number }[];
  expect(expires.map(({ what }) => what)).toEqual(
    expect.arrayContaining(['kafka:offline_msg', 'kafka:offline_msg.dlq', 'kafka:private_msg']),
  );
  for (const { at } of expires) expect(at).toBeGreaterThan(Date.now());
  const end = expires.find(({ what }) => what === 'mysql:erased_messages')?.at ?? 0;
  expect(end).toBeGreaterThanOrEqual(Math.max(...expires.map(({ at }) => at)));
  // An operator replays it: for good means for good.
  await producer.append(TOPICS.offline, { key: bob, value: encodeOffline(other, bob) });
  const after = unique('msg');
  await system.send(alice, bob, 'after', after);
  await stored(db, [after]);
  expect(await tracesOf(db, redis, [msgId, content])).toEqual([]);
}, 60_000);

test('late records of it, delivered or offline or of a group, are dropped', async () => {
  const [msgId, content] = [unique('msg'), unique('content')];
  const sent = await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  await removeForGood(alice, msgId, content);
  const late = message({
    msgId,
    senderId: alice,
    recipientId: bob,
    content,
    sequenceNumber: sent.sequence_number,
  });
  const delivered = { message: late, devices: ['phone'], deliveredAt: Date.now() };
  await producer.append(TOPICS.offline, { key: bob, value: encodeOffline(late, bob) });
  await producer.append(TOPICS.delivered, {
    key: late.conversation.key,
    value: encodeDelivered(delivered),
  });
  const group = await TestGroup.make(system, [alice, bob]);
  const toGroup = { ...late, conversation: groupConversation(group.id), recipientId: undefined };
  await producer.append(TOPICS.offline, { key: bob, value: encodeOffline(toGroup, bob) });
  await system.gateway.connect(bob, 'phone');
  const after = [unique('msg'), unique('msg')];
  await system.send(alice, bob, 'after', after[0]);
  await group.send(alice, 'after', after[1]);
  await stored(db, after);
  expect(await tracesOf(db, redis, [msgId, content])).toEqual([]);
  expect(system.gateway.pushesOf(bob).map((push) => push.msg_id)).not.toContain(msgId);
}, 60_000);

test('sent again by its gateway it is refused, also when Redis has forgotten everything', async () => {
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.gateway.connect(bob, 'phone');
  await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  await removeForGood(alice, msgId, content);
  const refused = { success: false, status: 'failed', code: 'DUPLICATE_MESSAGE' };
  expect(await system.send(alice, bob, content, msgId)).toMatchObject(refused);
  expect(await tracesOf(db, redis, [msgId, content])).toEqual([]);
  // What tells it of the deletion, and that there is nothing to doubt: as after a loss of its memory.
  const doubt = await redis.get('im:doubt_until');
  const keys = await redis.keys('erased/*');
  await redis.del('im:doubt_until', ...keys);
  expect(await system.send(alice, bob, content, msgId)).toMatchObject(refused);
  if (doubt !== null) await redis.set('im:doubt_until', doubt);
  expect(system.gateway.pushesOf(bob).map((push) => push.msg_id)).toEqual([msgId]);
  expect(await tracesOf(db, redis, [msgId, content])).toEqual([]);
});

test('a recipient deletes it for themself: their inbox, history and counts lose it, nobody else’s', async () => {
  const members = [alice, bob, unique('carol')];
  const [, , carol] = members as [string, string, string];
  const group = await TestGroup.make(system, members);
  const [msgId, content] = [unique('msg'), unique('content')];
  await group.send(alice, content, msgId);
  await waitFor('both rows', 20_000, async () => (await rowsOf(db, msgId)).length === 2);
  expect((await remove(bob, msgId)).status).toBe(200);
  expect((await remove(bob, msgId)).status).toBe(200);
  const views = ['/api/v1/offline', `/api/v1/conversations/group/${group.id}/messages`];
  for (const path of views) {
    expect((await rest.get(bob, path)).text).not.toContain(content);
    expect((await rest.get(carol, path)).text).toContain(content);
  }
  const unread = async (user: string) =>
    (await rest.get(user, '/api/v1/messages/unread/count')).body.count;
  expect([await unread(bob), await unread(carol)]).toEqual([0, 1]);
  expect(await pendingOf(bob)).toBe(0);
  await system.gateway.connect(bob, 'phone');
  await system.gateway.connect(carol, 'phone');
  await system.gateway.received(carol, 1);
  expect(system.gateway.pushesOf(bob)).toEqual([]);
  // The sender's own deletion afterwards leaves nothing of that either.
  await removeForGood(alice, msgId, content);
});

test('only the sender, compliance and who received it may: for anybody else there is no such message', async () => {
  const [msgId, other] = [unique('msg'), unique('other')];
  await system.send(alice, bob, 'hello', msgId);
  await stored(db, [msgId]);
  for (const scope of ['', 'im:operator'])
    expect((await remove(other, msgId, scope)).status).toBe(404);
  expect((await remove(alice, unique('msg'))).status).toBe(404);
  expect(await inMysql(msgId)).toBe(true);
  expect((await remove(other, msgId, 'im:compliance')).status).toBe(200);
  expect(await inMysql(msgId)).toBe(false);
  // Afterwards: who could see the job is told again; for others it never was.
  expect((await remove(alice, msgId)).status).toBe(200);
  expect((await remove(other, msgId, 'im:compliance')).status).toBe(200);
  expect((await remove(bob, msgId)).status).toBe(404);
  expect((await remove(unique('other'), msgId)).status).toBe(404);
});
