/** The offline inbox over HTTP. */
import type { Database } from '../../src/activities/mysql/database';
import { Inbox } from '../../src/activities/mysql/inbox';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { groupConversation } from '../../src/domain/ids';
import { openDatabase } from '../support/mysql';
import { encryptionOn, openEncryption } from '../support/encryption';
import { unique } from '../support/ids';
import { message, offline, series } from '../support/records';
import { RestClient } from '../support/rest-client';
import type { Body } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

describe('the offline inbox', () => {
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

  const idsOf = (body: Body) => body.messages.map((message) => message.msg_id);

  async function allPages(user: string, limit: number): Promise<string[]> {
    const ids: string[] = [];
    for (let cursor = ''; ;) {
      const { body } = await rest.get(user, `/api/v1/offline?limit=${limit}&cursor=${cursor}`);
      ids.push(...idsOf(body));
      if (!body.has_more) return ids;
      cursor = body.next_cursor;
    }
  }

  test('answers exactly the fields of the spec', async () => {
    const user = unique('user');
    const entry = offline({ recipientId: user, sequenceNumber: 12_346, content: 'Hi there! 👋' });
    await store.storeOffline([entry]);
    const { status, body } = await rest.get(user, '/api/v1/offline');
    expect(status).toBe(200);
    expect(body).toEqual({
      messages: [
        {
          msg_id: entry.message.msgId,
          sender_id: entry.message.senderId,
          recipient_id: user,
          content: 'Hi there! 👋',
          sequence_number: 12_346,
          timestamp: entry.message.timestamp,
          created_at: entry.message.acceptedAt,
        },
      ],
      next_cursor: entry.message.msgId,
      has_more: false,
      total_count: 1,
    });
  });

  test('says which messages cannot be read and why, never shows a ciphertext, and the page loads', async () => {
    const [user, alice, gone] = [unique('user'), unique('alice'), unique('gone')];
    const encryption = await openEncryption(db, encryptionOn());
    const sealed = await Promise.all(
      [alice, alice, gone].map((senderId, i) =>
        encryption.content.seal(
          message({ recipientId: user, senderId, content: 'secret', sequenceNumber: i + 1 }),
        ),
      ),
    );
    await store.storeOffline(sealed.map((each) => ({ message: each, recipients: [user] })));
    const tampered = sealed[1]!;
    await db.execute('UPDATE messages SET content = ? WHERE msg_id = ?', [
      sealed[0]!.content,
      tampered.msgId,
    ]);
    await encryption.rows.destroy(gone);
    const seen = [
      ['secret', undefined],
      ['', 'tampered'],
      ['', 'keyless'],
    ];
    const shown = (body: Body) =>
      body.messages.map((each) => [each.content, (each as { unreadable?: string }).unreadable]);
    const { status, body } = await rest.get(user, '/api/v1/offline');
    expect(status).toBe(200);
    expect(shown(body)).toEqual(seen);
    const path = `/api/v1/conversations/private/${[user, alice].sort().join('_')}/messages`;
    expect(shown((await rest.get(user, path)).body)).toEqual(seen.slice(0, 2));
    const metrics = await (await system.http('/metrics')).text();
    expect(metrics).toMatch(/unreadable_total\{reason="tampered"\} 2/);
    expect(metrics).toMatch(/unreadable_total\{reason="keyless"\} 1/);
  });

  test('is empty, with zeros, for a user for whom nothing waits', async () => {
    const user = unique('user');
    expect((await rest.get(user, '/api/v1/offline')).body).toEqual({
      messages: [],
      next_cursor: '',
      has_more: false,
      total_count: 0,
    });
    expect((await rest.get(user, '/api/v1/offline/count')).body).toEqual({
      count: 0,
      oldest_timestamp: 0,
      newest_timestamp: 0,
    });
  });

  test('names the group of a group message, and the member it waits for', async () => {
    const user = unique('user');
    const group = unique('group');
    const made = { ...message(), conversation: groupConversation(group), recipientId: undefined };
    await store.storeOffline([{ message: made, recipients: [user, unique('other')] }]);
    expect((await rest.get(user, '/api/v1/offline')).body.messages[0]).toMatchObject({
      recipient_id: user,
      group_id: group,
      conversation_type: 'group',
      conversation_id: group,
    });
  });

  test('gives 50 messages by default, 100 at most, and refuses other limits', async () => {
    const user = unique('user');
    await store.storeOffline(series(120, user));
    const first = await rest.get(user, '/api/v1/offline');
    expect(first.body.messages).toHaveLength(50);
    expect(first.body).toMatchObject({ has_more: true, total_count: 120 });
    expect((await rest.get(user, '/api/v1/offline?limit=100')).body.messages).toHaveLength(100);
    for (const limit of ['0', '101', '-1', '1.5', 'x', '']) {
      const { status, body } = await rest.get(user, `/api/v1/offline?limit=${limit}`);
      expect([limit, status, body.code]).toEqual([limit, 400, 'INVALID_REQUEST']);
    }
  });

  test('pages through everything once, in order', async () => {
    const user = unique('user');
    const entries = series(95, user);
    await store.storeOffline(entries);
    expect(await allPages(user, 10)).toEqual(entries.map((entry) => entry.message.msgId));
  });

  test('keeps a cursor in place while its message is delivered, read, or expires', async () => {
    const user = unique('user');
    const entries = series(30, user);
    const ids = entries.map((entry) => entry.message.msgId);
    await store.storeOffline(entries);
    const inbox = new Inbox(db);
    await inbox.markDelivered(user, [
      { position: 5, msgId: ids[4] as string, deliveredAt: Date.now(), devices: ['phone'] },
    ]);
    await rest.post(user, '/api/v1/messages/read', { msg_id: ids[5] });
    await db.execute('UPDATE inbox SET expires_at = 1 WHERE user_id = ? AND position = 7', [user]);
    for (const gone of [4, 5, 6]) {
      const { body } = await rest.get(user, `/api/v1/offline?cursor=${ids[gone]}&limit=3`);
      expect(idsOf(body)).toEqual(ids.slice(7, 10));
    }
    expect(await allPages(user, 10)).toEqual([...ids.slice(0, 4), ...ids.slice(7)]);
  });

  test('shows new messages after those that were there, whatever page is being read', async () => {
    const user = unique('user');
    const before = series(10, user);
    await store.storeOffline(before);
    const first = await rest.get(user, '/api/v1/offline?limit=10');
    expect(first.body.has_more).toBe(false);
    const after = series(3, user);
    await store.storeOffline(after);
    const next = await rest.get(user, `/api/v1/offline?cursor=${first.body.next_cursor}`);
    expect(idsOf(next.body)).toEqual(after.map((entry) => entry.message.msgId));
  });

  test('neither shows nor counts what is past its time', async () => {
    const user = unique('user');
    const entries = series(10, user);
    await store.storeOffline(entries);
    await db.execute('UPDATE inbox SET expires_at = 1 WHERE user_id = ? AND position <= 4', [user]);
    const { body } = await rest.get(user, '/api/v1/offline/count');
    expect(body.count).toBe(6);
    expect(body.oldest_timestamp).toBeLessThanOrEqual(body.newest_timestamp);
    const page = await rest.get(user, '/api/v1/offline');
    expect(page.body).toMatchObject({ total_count: 6, has_more: false });
    expect(idsOf(page.body)).toEqual(entries.slice(4).map((entry) => entry.message.msgId));
  });

  test('refuses a cursor that was never in this inbox', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const entry = offline({ recipientId: bob });
    await store.storeOffline([entry]);
    for (const cursor of ['never-seen', entry.message.msgId]) {
      const { status, body } = await rest.get(alice, `/api/v1/offline?cursor=${cursor}`);
      expect([status, body.code]).toEqual([400, 'INVALID_CURSOR']);
    }
  });
});
