/** Read receipts over HTTP: durable, once, first time first. */
import type { Database } from '../../src/activities/mysql/database';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ERASED_POLL_MS } from '../../src/domain/erasure';
import { groupConversation } from '../../src/domain/ids';
import { openDatabase } from '../support/mysql';
import { unique } from '../support/ids';
import { message, offline, series } from '../support/records';
import { RestClient } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

describe('read receipts', () => {
  let system: TestSystem;
  let db: Database;
  let store: MessageStore;
  let rest: RestClient;

  beforeAll(async () => {
    system = await startSystem();
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 600_000 });
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  });
  afterAll(async () => {
    await db.close();
    await system.close();
  });

  async function waiting(given: Parameters<typeof offline>[0] = {}) {
    const entry = offline(given);
    await store.storeOffline([entry]);
    return entry.message;
  }
  const read = (user: string, msgId: string, more: object = {}) =>
    rest.post(user, '/api/v1/messages/read', { msg_id: msgId, ...more });
  const receiptsOf = async (user: string, msgId: string) =>
    (await rest.get(user, `/api/v1/messages/receipts?msg_id=${msgId}`)).body.receipts;

  test('marking answers as the spec says, and the message is read everywhere', async () => {
    const { msgId, senderId, recipientId } = await waiting();
    const readAt = Date.now();
    const { status, body } = await read(recipientId, msgId, { read_at: readAt });
    expect([status, body]).toEqual([200, { success: true, message: 'Read receipt recorded' }]);
    expect(await system.client.status(msgId)).toMatchObject({ status: 'read', read_at: readAt });
    expect(await receiptsOf(senderId, msgId)).toEqual([
      { reader_id: recipientId, read_at: readAt, devices: [] },
    ]);
    expect((await rest.get(recipientId, '/api/v1/offline')).body).toMatchObject({
      messages: [],
      total_count: 0,
    });
  });

  test('of a message that was just pushed count before MySQL knows the message', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    const msgId = unique('msg');
    expect((await system.send(alice, bob, 'quick', msgId)).status).toBe('delivered');
    expect((await read(bob, msgId)).status).toBe(200);
    expect(await system.client.status(msgId)).toMatchObject({ status: 'read' });
    expect((await read(unique('eve'), msgId)).status).toBe(404);
    expect(await receiptsOf(alice, msgId)).toHaveLength(1);
    const late = message({ msgId, senderId: alice, recipientId: bob });
    await store.storeDelivered([{ message: late, deliveredAt: Date.now(), devices: ['phone'] }]);
    expect((await rest.get(bob, '/api/v1/messages/unread/count')).body.count).toBe(0);
    expect(await receiptsOf(alice, msgId)).toHaveLength(1);
  });

  test('of a message whose sender was erased are not taken, though Redis knows it for a while yet', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    expect((await system.send(alice, bob, 'later', msgId)).status).toBe('offline');
    await new ErasureRows(db, Date.now).markAndDestroyKeys(alice);
    await waitFor('the server to know', 10 * ERASED_POLL_MS, async () => {
      return (await system.send(alice, bob)).status === 'failed';
    });
    expect((await read(bob, msgId)).status).toBe(404);
    const rows = await db.select('SELECT 1 FROM read_receipts WHERE sender_id = ?', [alice]);
    expect(rows).toEqual([]);
  });

  test('of a message that waited are its delivery', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    expect((await system.send(alice, bob, 'later', msgId)).status).toBe('offline');
    expect((await read(bob, msgId)).status).toBe(200);
    const { delivered_at, read_at, status } = await system.client.status(msgId);
    expect([status, delivered_at]).toEqual(['read', read_at]);
    expect(read_at).toBeGreaterThan(0);
  });

  test('keep the first time, however often and from however many devices they come', async () => {
    const { msgId, senderId, recipientId, acceptedAt } = await waiting();
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        read(recipientId, msgId, { read_at: acceptedAt + i, device_id: `device-${i % 2}` }),
      ),
    );
    const before = await system.client.status(msgId);
    await read(recipientId, msgId, { read_at: acceptedAt, device_id: 'device-0' });
    const [row, ...others] = await receiptsOf(senderId, msgId);
    expect(others).toEqual([]);
    expect([...(row?.devices ?? [])].sort()).toEqual(['device-0', 'device-1']);
    expect(await system.client.status(msgId)).toMatchObject({
      status: 'read',
      read_at: before.read_at,
    });
    const rows = await db.select<{ n: number }>(
      'SELECT COUNT(*) AS n FROM read_receipts WHERE msg_id = ?',
      [msgId],
    );
    expect(rows[0]?.n).toBe(2);
  });

  test('of two clients that mark at once are one each, with one first time', async () => {
    const { msgId, senderId, recipientId } = await waiting();
    const [a, b] = await Promise.all([
      read(recipientId, msgId, { device_id: 'phone' }),
      read(recipientId, msgId, { device_id: 'laptop' }),
    ]);
    expect([a.status, b.status]).toEqual([200, 200]);
    const [receipt] = await receiptsOf(senderId, msgId);
    expect([...(receipt?.devices ?? [])].sort()).toEqual(['laptop', 'phone']);
    const stored = await db.select<{ read_at: number }>(
      'SELECT read_at FROM messages WHERE msg_id = ?',
      [msgId],
    );
    expect(await system.client.status(msgId)).toMatchObject({ read_at: stored[0]?.read_at });
  });

  test('have times within what is possible', async () => {
    const early = await waiting();
    await read(early.recipientId, early.msgId, { read_at: 5 });
    expect((await receiptsOf(early.senderId, early.msgId))[0]?.read_at).toBe(early.acceptedAt);
    const late = await waiting();
    await read(late.recipientId, late.msgId, { read_at: Date.now() + 86_400_000 });
    const [receipt] = await receiptsOf(late.senderId, late.msgId);
    expect(receipt?.read_at).toBeLessThanOrEqual(Date.now());
    for (const read_at of [-1, 1.5, '5', null, {}]) {
      expect((await read(late.recipientId, late.msgId, { read_at })).status).toBe(400);
    }
  });

  test('are 404 for a message that is not there and one that is not for the caller', async () => {
    const { msgId } = await waiting();
    const eve = unique('eve');
    const [foreign, none] = await Promise.all([read(eve, msgId), read(eve, 'no-such-message')]);
    expect([foreign.status, foreign.body.code]).toEqual([404, 'NOT_FOUND']);
    expect(none.body).toEqual({ ...foreign.body, request_id: expect.any(String) as string });
    const seen = await rest.get(eve, `/api/v1/messages/receipts?msg_id=${msgId}`);
    expect(seen.status).toBe(404);
  });

  test('of one’s own message are refused', async () => {
    const { msgId, senderId } = await waiting();
    const { status, body } = await read(senderId, msgId);
    expect([status, body.code]).toEqual([403, 'FORBIDDEN']);
  });

  test('of a conversation are recorded up to a number, and lower what is unread', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await store.storeOffline(series(20, bob, alice));
    const id = `${alice}_${bob}`;
    expect((await rest.get(bob, '/api/v1/messages/unread/count')).body).toEqual({
      count: 20,
      conversations: [{ conversation_type: 'private', conversation_id: id, count: 20 }],
    });
    const mark = (up_to_sequence: number) =>
      rest.post(bob, '/api/v1/conversations/read', {
        conversation_type: 'private',
        conversation_id: id,
        up_to_sequence,
      });
    expect((await mark(15)).body).toMatchObject({ success: true, marked: 15, has_more: false });
    expect((await mark(15)).body).toMatchObject({ marked: 0 });
    expect((await rest.get(bob, '/api/v1/messages/unread/count')).body.count).toBe(5);
    expect((await rest.get(bob, '/api/v1/offline')).body.total_count).toBe(5);
    const all = await mark(Number.MAX_SAFE_INTEGER);
    expect(all.body).toMatchObject({ marked: 5, read_up_to_sequence: 20 });
  });

  describe('in a group', () => {
    const group = unique('group');
    const members = Array.from({ length: 5 }, () => unique('member'));
    const msgIds: string[] = [];

    beforeAll(async () => {
      const { directory } = system.users;
      directory.putGroup(group);
      for (const member of members) {
        directory.addUser(member, member, '');
        directory.addMember(group, member);
      }
      const entries = Array.from({ length: 4 }, (_, i) => ({
        message: {
          ...message({ senderId: members[0], sequenceNumber: i + 1 }),
          conversation: groupConversation(group),
          recipientId: undefined,
        },
        recipients: members.slice(1, 3),
      }));
      msgIds.push(...entries.map((entry) => entry.message.msgId));
      await store.storeOffline(entries);
    });

    test('count every member once, and page by reader', async () => {
      const [msgId] = msgIds as [string];
      for (const member of members.slice(1)) {
        expect((await read(member, msgId)).status).toBe(200);
      }
      const seen: string[] = [];
      for (let cursor = '', more = true; more;) {
        const path = `/api/v1/messages/receipts?msg_id=${msgId}&limit=2&cursor=${cursor}`;
        const { body } = await rest.get(members[0], path);
        seen.push(...body.receipts.map((receipt) => receipt.reader_id));
        cursor = body.next_cursor;
        more = body.has_more;
      }
      expect(seen).toEqual([...members.slice(1)].sort());
    });

    test('lower what is unread of the member who read, and of nobody else', async () => {
      const [, one, two] = members as [string, string, string];
      await rest.post(one, '/api/v1/conversations/read', {
        conversation_type: 'group',
        conversation_id: group,
        up_to_sequence: 3,
      });
      expect((await rest.get(one, '/api/v1/messages/unread/count')).body.count).toBe(1);
      expect((await rest.get(two, '/api/v1/messages/unread/count')).body.count).toBe(3);
    });

    test('are 404 for who is no member', async () => {
      const [msgId] = msgIds as [string];
      const eve = unique('eve');
      expect((await read(eve, msgId)).status).toBe(404);
      const path = `/api/v1/messages/receipts?msg_id=${msgId}`;
      expect((await rest.get(eve, path)).status).toBe(404);
    });
  });
});
