/** REST over large groups: whoever was away pages, counts and reads as if each message had its own row. */
import type { Database } from '../../src/activities/mysql/database';
import { sleep } from '../../src/activities/sleep';
import type { RunningWorker } from '../../src/worker';
import { people, rowsOf, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient } from '../support/rest-client';
import type { Answer, Body } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker, workerReady } from '../support/worker';

const LARGE = 60;

let system: TestSystem;
let worker: RunningWorker;
let db: Database;
let rest: RestClient;

beforeAll(async () => {
  system = await startSystem({
    GROUP_FANOUT_MAX: '50',
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_SWEEP_INTERVAL_S: '3600',
  });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await db.close();
  await system.close();
});

const idsOf = (body: Body) => body.messages.map((message) => message.msg_id);

function offline(user: string, cursor: string, limit: number): Promise<Answer> {
  return rest.get(user, `/api/v1/offline?limit=${limit}&cursor=${cursor}`);
}

async function allPages(user: string, limit: number, cursor = ''): Promise<string[]> {
  const ids: string[] = [];
  for (let at = cursor; ;) {
    const { status, body } = await offline(user, at, limit);
    expect(status).toBe(200);
    ids.push(...idsOf(body));
    if (!body.has_more) return ids;
    at = body.next_cursor;
  }
}

async function waiting(user: string): Promise<Body> {
  return (await rest.get(user, '/api/v1/offline/count')).body;
}

async function largeGroup(): Promise<{ group: TestGroup; alice: string; bob: string }> {
  const members = people(LARGE);
  const [alice, bob] = members as [string, string];
  return { group: await TestGroup.make(system, members), alice, bob };
}

async function privateTo(bob: string, alice: string, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, () => unique('msg'));
  for (const id of ids) {
    expect(await system.send(alice, bob, 'hello', id)).toMatchObject({ status: 'offline' });
  }
  await stored(db, ids);
  return ids;
}

/** Sends to a group and waits until MySQL has it. */
async function sent(group: TestGroup, from: string, count: number): Promise<string[]> {
  const ids = await group.sendMany(from, count);
  await stored(db, ids);
  return ids;
}

async function stays(user: string, count: number): Promise<void> {
  await waitFor('the stays', 10_000, async () => {
    const rows = await db.select('SELECT 1 FROM group_memberships WHERE user_id = ?', [user]);
    return rows.length >= count;
  });
}

test('pages hold private, small-group and large-group messages, each once, as counted', async () => {
  const { group, alice, bob } = await largeGroup();
  const small = await TestGroup.make(system, [alice, bob]);
  const other = await TestGroup.make(system, [...people(LARGE), alice, bob]);
  const began = Date.now();
  const all = [
    ...(await sent(group, alice, 25)),
    ...(await privateTo(bob, alice, 10)),
    ...(await sent(small, alice, 10)),
    ...(await sent(other, alice, 15)),
    ...(await sent(group, alice, 5)),
  ];
  const counted = await waiting(bob);
  expect(counted.count).toBe(65);
  expect(counted.oldest_timestamp).toBeGreaterThanOrEqual(began);
  expect(counted.newest_timestamp).toBeGreaterThanOrEqual(counted.oldest_timestamp);
  const first = (await offline(bob, '', 7)).body;
  expect(first).toMatchObject({ has_more: true, total_count: 65 });
  expect(first.next_cursor).toBe(first.messages.at(-1)?.msg_id);
  const pages = await allPages(bob, 7);
  expect([...pages].sort()).toEqual([...all].sort());
  // Again: reading took nothing away, and the order stays.
  expect(await allPages(bob, 7)).toEqual(pages);
  expect(await allPages(bob, 100)).toEqual(pages);
  expect(await waiting(bob)).toEqual(counted);
  const last = (await offline(bob, pages[63] as string, 1)).body;
  expect(last).toMatchObject({ has_more: false, total_count: 65 });
  // A page costs a member who reads rows of their own, and nobody else.
  for (const id of pages) expect(await rowsOf(db, id)).toEqual([bob]);
}, 60_000);

test('each conversation is in sequence order, and a group message names its group and its reader', async () => {
  const { group, alice, bob } = await largeGroup();
  await sent(group, alice, 30);
  const { messages } = (await offline(bob, '', 100)).body;
  const numbers = messages.map((message) => message.sequence_number);
  expect(numbers).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
  expect(messages[0]).toMatchObject({
    sender_id: alice,
    recipient_id: bob,
    group_id: group.id,
    conversation_type: 'group',
    conversation_id: group.id,
    content: 'message 0',
  });
});

test('no gap and no repeat while messages arrive', async () => {
  const { group, alice, bob } = await largeGroup();
  const expected = new Set(await sent(group, alice, 20));
  let isSending = true;
  const sending = (async () => {
    for (let i = 0; i < 12; i++) {
      for (const id of await sent(group, alice, 5)) expected.add(id);
      for (const id of await privateTo(bob, alice, 2)) expected.add(id);
    }
    isSending = false;
  })();
  const seen: string[] = [];
  for (let cursor = ''; ;) {
    const wasSending = isSending;
    const { body } = await offline(bob, cursor, 3);
    seen.push(...idsOf(body));
    // The end of the list is not the end of what comes: a later page goes on from the same cursor.
    cursor = body.next_cursor;
    if (!body.has_more && !wasSending) break;
  }
  await sending;
  expect(new Set(seen).size).toBe(seen.length);
  expect([...seen].sort()).toEqual([...expected].sort());
}, 60_000);

test('delivered while a client pages: what was listed is pushed once, and nothing is left', async () => {
  const { group, alice, bob } = await largeGroup();
  const all = await sent(group, alice, 250);
  const listed = idsOf((await offline(bob, '', 50)).body);
  expect(listed).toEqual(all.slice(0, 50));
  await system.gateway.connect(bob, 'phone');
  // Draws into the inbox race with the delivery.
  const paging = Promise.all([allPages(bob, 9), allPages(bob, 50, listed.at(-1))]);
  await system.gateway.received(bob, 250, 30_000);
  for (const page of await paging) expect(new Set(page).size).toBe(page.length);
  await waitFor('nothing to wait', 20_000, async () => (await waiting(bob)).count === 0);
  expect(new Set(system.gateway.pushesOf(bob).map((push) => push.msg_id))).toEqual(new Set(all));
  // A cursor of either kind keeps its place when its message is delivered, drawn or not.
  for (const cursor of [listed[10], all.at(-1)]) {
    const { status, body } = await offline(bob, cursor as string, 10);
    expect([status, body.messages, body.total_count]).toEqual([200, [], 0]);
  }
  await system.gateway.disconnect(bob, 'phone');
  await sleep(100);
  const later = await privateTo(bob, alice, 2);
  const next = (await offline(bob, all.at(-1) as string, 10)).body;
  expect(idsOf(next)).toEqual(expect.arrayContaining(later));
}, 60_000);

test('after leaving and joining again: exactly what was missed as a member', async () => {
  const { group, alice, bob } = await largeGroup();
  const during = await sent(group, alice, 6);
  await group.leave(bob);
  await sent(group, alice, 6);
  await group.join(bob);
  await stays(bob, 2);
  const again = await sent(group, alice, 6);
  expect(await allPages(bob, 4)).toEqual([...during, ...again]);
});

test('who leaves gets nothing sent after, but may read and acknowledge what waited', async () => {
  const { group, alice, bob } = await largeGroup();
  const before = await sent(group, alice, 4);
  await group.leave(bob);
  const after = await sent(group, alice, 4);
  expect(await allPages(bob, 3)).toEqual(before);
  const read = { msg_id: before[1] };
  expect((await rest.post(bob, '/api/v1/messages/read', read)).status).toBe(200);
  expect(await allPages(bob, 3)).toEqual([before[0], ...before.slice(2)]);
  await waitFor('the leave to be known', 10_000, async () => {
    const history = `/api/v1/conversations/group/${group.id}/messages`;
    return (await rest.get(bob, history)).status === 404;
  });
  const late = { msg_id: after[0] };
  expect((await rest.post(bob, '/api/v1/messages/read', late)).status).toBe(404);
  expect((await offline(bob, after[0] as string, 10)).body.code).toBe('INVALID_CURSOR');
});

test('who joins gets nothing from before: not offline, not as history, not as unread', async () => {
  const { group, alice } = await largeGroup();
  const carol = unique('carol');
  await sent(group, alice, 5);
  await group.join(carol);
  await stays(carol, 1);
  const after = await sent(group, alice, 3);
  expect(await allPages(carol, 2)).toEqual(after);
  const path = `/api/v1/conversations/group/${group.id}/messages?after_sequence=0&limit=2`;
  await waitFor('the join to be known', 10_000, async () => {
    return (await rest.get(carol, path)).status === 200;
  });
  const first = (await rest.get(carol, path)).body;
  expect(idsOf(first)).toEqual(after.slice(0, 2));
  expect(first.has_more).toBe(true);
  expect((await rest.get(carol, '/api/v1/messages/unread/count')).body.count).toBe(3);
  const all = (await rest.get(alice, path.replace('limit=2', 'limit=100'))).body;
  expect(all.messages).toHaveLength(8);
});

describe('reading', () => {
  test('one message takes it out of the list, the counts and the delivery, and tells the sender', async () => {
    const { group, alice, bob } = await largeGroup();
    const all = await sent(group, alice, 5);
    const body = { msg_id: all[2], read_at: Date.now(), device_id: 'phone' };
    expect((await rest.post(bob, '/api/v1/messages/read', body)).body).toEqual({
      success: true,
      message: 'Read receipt recorded',
    });
    const left = all.filter((id) => id !== all[2]);
    expect((await waiting(bob)).count).toBe(4);
    expect((await rest.get(bob, '/api/v1/messages/unread/count')).body.count).toBe(4);
    expect(await allPages(bob, 3)).toEqual(left);
    const receipts = await rest.get(alice, `/api/v1/messages/receipts?msg_id=${all[2]}`);
    expect(receipts.body.receipts).toMatchObject([{ reader_id: bob, devices: ['phone'] }]);
    expect(await system.client.status(all[2] as string)).toMatchObject({ status: 'read' });
    await system.gateway.connect(bob, 'phone');
    await system.gateway.received(bob, 4);
    await waitFor('nothing to wait', 20_000, async () => (await waiting(bob)).count === 0);
    expect(system.gateway.pushesOf(bob).map((push) => push.msg_id)).toEqual(left);
  }, 30_000);

  test('a conversation up to a number leaves what lies above it', async () => {
    const { group, alice, bob } = await largeGroup();
    const all = await sent(group, alice, 40);
    expect(await allPages(bob, 100)).toEqual(all);
    const more = await sent(group, alice, 10);
    const { body } = await rest.post(bob, '/api/v1/conversations/read', {
      conversation_type: 'group',
      conversation_id: group.id,
      up_to_sequence: 45,
    });
    expect(body).toMatchObject({ marked: 45, read_up_to_sequence: 45, has_more: false });
    expect((await waiting(bob)).count).toBe(5);
    expect(await allPages(bob, 2)).toEqual(more.slice(5));
    expect((await rest.get(bob, '/api/v1/messages/unread/count')).body).toEqual({
      count: 5,
      conversations: [{ conversation_type: 'group', conversation_id: group.id, count: 5 }],
    });
  });

  test('everything ends the delivery: nothing is pushed and nothing is behind', async () => {
    const { group, alice, bob } = await largeGroup();
    await sent(group, alice, 10);
    await rest.post(bob, '/api/v1/conversations/read', {
      conversation_type: 'group',
      conversation_id: group.id,
      up_to_sequence: 10,
    });
    await system.gateway.connect(bob, 'phone');
    await waitFor('bob to be noted', 10_000, async () => {
      const rows = await db.select('SELECT 1 FROM group_readers WHERE user_id = ? AND state = 2', [
        bob,
      ]);
      return rows.length === 1;
    });
    expect(system.gateway.pushesOf(bob)).toEqual([]);
  });
});
