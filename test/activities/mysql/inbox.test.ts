import type { Database } from '../../../src/activities/mysql/database';
import { Inbox } from '../../../src/activities/mysql/inbox';
import { MessageStore } from '../../../src/activities/mysql/message-store';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';
import { offline, series } from '../../support/records';

describe('the inbox', () => {
  let db: Database;
  let store: MessageStore;
  let inbox: Inbox;

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 10_000 });
    inbox = new Inbox(db);
  });
  afterAll(() => db.close());

  const marks = (items: Awaited<ReturnType<Inbox['readPending']>>) =>
    items.map(({ position, message }) => ({
      position,
      msgId: message.msgId,
      deliveredAt: 5_000,
      devices: ['phone'],
    }));

  it('counts a message marked twice once', async () => {
    const userId = unique('user');
    await store.storeOffline(series(5, userId));
    const items = marks(await inbox.readPending(userId, 3, Date.now()));
    expect(await inbox.markDelivered(userId, items)).toBe(3);
    expect(await inbox.markDelivered(userId, items)).toBe(0);
    expect(await inbox.pendingCount(userId)).toBe(2);
    expect(await inbox.readPending(userId, 10, Date.now())).toHaveLength(2);
  });

  it('keeps the count exact while messages come and are marked at once', async () => {
    const userId = unique('user');
    await store.storeOffline(series(50, userId));
    const items = marks(await inbox.readPending(userId, 50, Date.now()));
    await Promise.all([
      ...Array.from({ length: 10 }, () => store.storeOffline(series(5, userId))),
      ...Array.from({ length: 10 }, (_, i) =>
        inbox.markDelivered(userId, items.slice(i * 4, i * 4 + 10)),
      ),
    ]);
    const [{ n }] = (await db.select<{ n: number }>(
      'SELECT COUNT(*) AS n FROM inbox WHERE user_id = ? AND state = 0',
      [userId],
    )) as [{ n: number }];
    expect(await inbox.pendingCount(userId)).toBe(n);
    expect(n).toBe(54);
  });

  it('hands out each conversation in the order of its sequence numbers', async () => {
    const userId = unique('user');
    const senderId = unique('sender');
    const numbered = (sequenceNumber: number) =>
      offline({ recipientId: userId, senderId, sequenceNumber });
    const other = offline({ recipientId: userId, sequenceNumber: 9 });
    await store.storeOffline([numbered(2), other, numbered(3), numbered(1)]);
    const items = await inbox.readPending(userId, 10, Date.now());
    expect(items.map((i) => i.message.sequenceNumber)).toEqual([1, 9, 2, 3]);
    expect(items.map((i) => i.position)).toEqual([4, 2, 1, 3]);
  });

  it('ends the wait of messages past their time and tells so', async () => {
    const userId = unique('user');
    const old = offline({ recipientId: userId, acceptedAt: 1_000 });
    await store.storeOffline([old, offline({ recipientId: userId })]);
    expect(await inbox.expire(userId, Date.now())).toBe(1);
    expect(await inbox.pendingCount(userId)).toBe(1);
    expect(await store.findStatus(old.message.msgId)).toMatchObject({ status: 'failed' });
  });

  it('hands out nothing past its time, however much of it nobody has put aside yet', async () => {
    const userId = unique('user');
    const old = series(510, userId).map(({ message, recipients }) => ({
      message: { ...message, acceptedAt: 1_000 },
      recipients,
    }));
    const fresh = offline({ recipientId: userId });
    await store.storeOffline([...old, fresh]);
    await inbox.expire(userId, Date.now());
    const items = await inbox.readPending(userId, 100, Date.now());
    expect(items.map((item) => item.message.msgId)).toEqual([fresh.message.msgId]);
  });

  it('names those who have messages waiting, for the sweep by page and not after a fresh failure', async () => {
    const prefix = unique('sweep');
    const users = ['a', 'b', 'c', 'd'].map((letter) => `${prefix}-${letter}`);
    await store.storeOffline(users.slice(0, 3).map((userId) => offline({ recipientId: userId })));
    expect((await inbox.hasPending(users)).sort()).toEqual(users.slice(0, 3));
    await inbox.recordFailure(users[1]!, 1_000_000);

    const first = await inbox.sweepPage(prefix, 1_000_000, 1);
    expect(first).toEqual([{ userId: users[0], pending: 1 }]);
    const second = await inbox.sweepPage(users[0]!, 1_000_000, 1);
    expect(second).toEqual([{ userId: users[2], pending: 1 }]);
    const later = await inbox.sweepPage(users[0]!, 1_000_001, 1);
    expect(later).toEqual([{ userId: users[1], pending: 1 }]);

    await inbox.markDelivered(users[1]!, marks(await inbox.readPending(users[1]!, 1, Date.now())));
    const [head] = await db.select('SELECT failed_at FROM inbox_heads WHERE user_id = ?', [
      users[1],
    ]);
    expect(head).toEqual({ failed_at: null });
  });
});
