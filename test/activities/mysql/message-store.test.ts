import { groupConversation } from '../../../src/domain/ids';
import type { Database } from '../../../src/activities/mysql/database';
import { Inbox } from '../../../src/activities/mysql/inbox';
import { MessageStore } from '../../../src/activities/mysql/message-store';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';
import { delivered, message, offline, series } from '../../support/records';

const DAY_MS = 86_400_000;

describe('the message store', () => {
  let db: Database;
  let store: MessageStore;
  let inbox: Inbox;

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 7 * DAY_MS });
    inbox = new Inbox(db);
  });
  afterAll(() => db.close());

  it('keeps one row of a batch that Kafka delivers twice', async () => {
    const userId = unique('user');
    const records = series(20, userId);
    const first = await store.storeOffline(records);
    const second = await store.storeOffline(records);
    expect(first.newRows.get(userId)).toBe(20);
    expect(second.newRows.size).toBe(0);
    expect(await inbox.pendingCount(userId)).toBe(20);
    expect((await inbox.readPending(userId, 100, Date.now())).map((i) => i.message.msgId)).toEqual(
      records.map((r) => r.message.msgId),
    );
  });

  it('stores what is new of a batch of which a part was stored before, without a gap', async () => {
    const userId = unique('user');
    const records = series(30, userId);
    await store.storeOffline(records.slice(0, 20));
    const { newRows } = await store.storeOffline(records.slice(10));
    expect(newRows.get(userId)).toBe(10);
    const rows = await db.select<{ position: number; msgId: string }>(
      'SELECT position, msg_id AS msgId FROM inbox WHERE user_id = ? ORDER BY position',
      [userId],
    );
    expect(rows).toEqual(records.map(({ message: { msgId } }, i) => ({ position: i + 1, msgId })));
    expect(await inbox.pendingCount(userId)).toBe(30);
  });

  it('gives each user positions without gap or repeat while many batches come at once', async () => {
    const users = Array.from({ length: 5 }, () => unique('user'));
    const batches = Array.from({ length: 20 }, () =>
      Array.from({ length: 25 }, (_, i) => offline({ recipientId: users[i % 5]! })),
    );
    await Promise.all(batches.map((batch) => store.storeOffline(batch)));
    for (const userId of users) {
      const rows = await db.select<{ position: number }>(
        'SELECT position FROM inbox WHERE user_id = ? ORDER BY position',
        [userId],
      );
      expect(rows.map((r) => r.position)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
      expect(await inbox.pendingCount(userId)).toBe(100);
    }
  });

  it('stores the content of a group message once for many users', async () => {
    const group = groupConversation(unique('group'));
    const rest = { ...message({ conversation: group }), recipientId: undefined };
    const recipients = Array.from({ length: 1_200 }, () => unique('user'));
    const { newRows } = await store.storeOffline([{ message: rest, recipients }]);
    expect(newRows.size).toBe(1_200);
    const [item] = await inbox.readPending(recipients[7]!, 10, Date.now());
    expect(item?.message).toEqual(rest);
  });

  it("never points a user to another conversation's message of the same id", async () => {
    const mine = offline({ content: 'for Bob' });
    const other = offline({ msgId: mine.message.msgId, content: 'for Carol' });
    const { conflicting, newRows } = await store.storeOffline([mine, other]);
    expect([...conflicting]).toEqual([other]);
    expect([...newRows.keys()]).toEqual([mine.message.recipientId]);
    expect((await store.storeOffline([other])).conflicting.size).toBe(1);
    expect(await inbox.readPending(other.message.recipientId, 10, Date.now())).toEqual([]);
    expect((await store.storeDelivered([delivered(other.message)])).size).toBe(1);
  });

  it('stores 500 messages of the largest content and metadata', async () => {
    const records = Array.from({ length: 500 }, () =>
      offline({ content: '\\'.repeat(10_240), metadata: { note: 'x'.repeat(8_000) } }),
    );
    expect((await store.storeOffline(records)).newRows.size).toBe(500);
  });

  it('answers the status of a message from waiting to read', async () => {
    const record = message();
    expect(await store.findStatus(record.msgId)).toBeUndefined();
    await store.storeOffline([{ message: record, recipients: [record.recipientId] }]);
    expect(await store.findStatus(record.msgId)).toEqual({
      status: 'pending',
      deliveredAt: 0,
      readAt: 0,
      deliveredDevices: [],
    });
    await inbox.markDelivered(record.recipientId, [
      { position: 1, msgId: record.msgId, deliveredAt: 1_000, devices: ['phone'] },
    ]);
    await store.storeDelivered([delivered(record, 900, ['tablet'])]);
    expect(await store.findStatus(record.msgId)).toEqual({
      status: 'delivered',
      deliveredAt: 1_000,
      readAt: 0,
      deliveredDevices: ['phone', 'tablet'],
    });
    await db.execute('UPDATE messages SET read_at = 2000 WHERE msg_id = ?', [record.msgId]);
    expect(await store.findStatus(record.msgId)).toMatchObject({ status: 'read', readAt: 2_000 });
  });

  it('keeps the first delivery of a message that private_msg brings twice', async () => {
    const record = delivered({}, 500, ['phone']);
    await store.storeDelivered([record]);
    await store.storeDelivered([{ ...record, deliveredAt: 700 }]);
    expect(await store.findStatus(record.message.msgId)).toMatchObject({
      status: 'delivered',
      deliveredAt: 500,
      deliveredDevices: ['phone'],
    });
  });

  it('refuses, and stores nothing of a batch, when a value does not fit', async () => {
    const good = offline();
    const bad = offline({ recipientId: good.message.recipientId, content: 'x'.repeat(70_000) });
    await expect(store.storeOffline([good, bad])).rejects.toMatchObject({ errno: 1406 });
    expect(await inbox.pendingCount(good.message.recipientId)).toBe(0);
  });
});
