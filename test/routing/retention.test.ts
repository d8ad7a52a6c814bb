/** What retention removes and what it leaves, on a database of the test's own. */
import { randomUUID } from 'node:crypto';
import { Database } from '../../src/activities/mysql/database';
import { ErasedMessages } from '../../src/activities/mysql/erased-messages';
import { ExportBundles } from '../../src/activities/mysql/export-bundles';
import { GroupExpiry } from '../../src/activities/mysql/group-expiry';
import { Holds } from '../../src/activities/mysql/holds';
import { Inbox } from '../../src/activities/mysql/inbox';
import { InboxPages } from '../../src/activities/mysql/inbox-pages';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { ReceiptLog } from '../../src/activities/mysql/receipt-log';
import { RetentionRows } from '../../src/activities/mysql/retention-rows';
import { groupConversation, privateConversation } from '../../src/domain/ids';
import type { HoldKind } from '../../src/domain/holds';
import { createLogger } from '../../src/logger';
import { Retention } from '../../src/routing/retention';
import { exportParts, writeBundle } from '../support/exports';
import { unique } from '../support/ids';
import { createDatabase } from '../support/mysql';
import { all } from '../support/purges';
import { delivered, message, offline, series } from '../support/records';

const DAY_MS = 24 * 60 * 60 * 1000;
const TTL_DAYS = 7;
const DAYS = { inbox: 7, messages: 30, receipts: 60, jobs: 0, ttl: TTL_DAYS };

describe('retention', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let store: MessageStore;
  let inbox: Inbox;
  let holds: Holds;
  const subtracted = new Map<string, number>();
  const now = Date.now();
  const ago = (days: number): number => now - days * DAY_MS;

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 4, deadlineMs: 5_000 });
    store = new MessageStore(db, { ttlMs: TTL_DAYS * DAY_MS });
    inbox = new Inbox(db);
    holds = new Holds(db, Date.now);
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
  });

  const retention = (days: Partial<typeof DAYS> = {}) =>
    new Retention({
      rows: new RetentionRows(db),
      holds,
      inbox,
      counts: {
        subtract: (userId, count) => {
          subtracted.set(userId, (subtracted.get(userId) ?? 0) + count);
          return Promise.resolve();
        },
      },
      groupExpiry: new GroupExpiry(db, { ttlMs: TTL_DAYS * DAY_MS }),
      bundles: new ExportBundles(db),
      erasedMessages: new ErasedMessages(db, () => now),
      days: { ...DAYS, ...days },
      now: () => now,
      log: createLogger('silent', 'test'),
    });

  const purgeMessages = (days?: Partial<typeof DAYS>) => {
    const work = retention(days);
    return all((input: Parameters<Retention['purgeMessages']>[0]) => work.purgeMessages(input));
  };
  const purgeInbox = (days?: Partial<typeof DAYS>) => {
    const work = retention(days);
    return all((input: Parameters<Retention['purgeInbox']>[0]) => work.purgeInbox(input));
  };
  const hold = async (kind: HoldKind, subject: string) => {
    const { holdId } = await holds.place({
      holdId: randomUUID(),
      kind,
      subject,
      reason: 'a case',
      placedBy: 'officer',
    });
    return () => holds.release(holdId, 'officer');
  };
  const stored = async (ids: readonly string[]) =>
    new Set(
      (
        await db.select<{ msg_id: string }>('SELECT msg_id FROM messages WHERE msg_id IN (?)', [
          ids,
        ])
      ).map((row) => row.msg_id),
    );
  const rowsOf = async (userId: string) =>
    (await db.select('SELECT 1 FROM inbox WHERE user_id = ?', [userId])).length;

  it('ends the wait of messages past their time, and the counts follow', async () => {
    const user = unique('user');
    await store.storeOffline([
      ...series(1_100, user).map(({ message, recipients }) => ({
        message: { ...message, acceptedAt: ago(8) },
        recipients,
      })),
      ...series(3, user),
    ]);
    const work = retention();
    await all((input: { after?: string }) => work.expireInbox(input));
    expect(await inbox.pendingCount(user)).toBe(3);
    expect(subtracted.get(user)).toBe(1_100);
    expect(await inbox.readPending(user, 10, Date.now())).toHaveLength(3);
  });

  it('keeps rows of an inbox as long as cursors must resolve, then removes them', async () => {
    const user = unique('user');
    const entries = [6, 13, 15].map((days) =>
      offline({ recipientId: user, acceptedAt: ago(days) }),
    );
    await store.storeOffline(entries);
    await inbox.markDelivered(
      user,
      entries.map(({ message }, i) => ({
        position: i + 1,
        msgId: message.msgId,
        deliveredAt: now,
        devices: [],
      })),
    );
    await purgeInbox();
    const pages = new InboxPages(db);
    const places = entries.map(({ message }) => pages.positionOf(user, message.msgId));
    expect(await Promise.all(places)).toEqual([1, 2, undefined]);
    // Positions go on where they were: a cursor never points at another message.
    await store.storeOffline([offline({ recipientId: user })]);
    const [next] = await inbox.readPending(user, 10, Date.now());
    expect(next?.position).toBe(4);
  });

  it('never removes a row that still counts as waiting', async () => {
    const user = unique('user');
    await store.storeOffline([offline({ recipientId: user, acceptedAt: ago(100) })]);
    await purgeInbox();
    await purgeMessages();
    expect(await rowsOf(user)).toBe(1);
    expect(await inbox.pendingCount(user)).toBe(1);
    const work = retention();
    await all((input: { after?: string }) => work.expireInbox(input));
    await purgeInbox();
    expect(await rowsOf(user)).toBe(0);
    expect(await inbox.pendingCount(user)).toBe(0);
  });

  it('removes messages older than is set with their receipts, in pages, and no others', async () => {
    const [sender, reader] = [unique('sender'), unique('reader')];
    const old = Array.from({ length: 1_200 }, (_, i) =>
      // Many of one moment: a page may end among them.
      delivered({ senderId: sender, recipientId: reader, acceptedAt: ago(31) + (i % 2) }),
    );
    const young = delivered({ senderId: sender, recipientId: reader, acceptedAt: ago(29) });
    for (let i = 0; i < old.length; i += 400) await store.storeDelivered(old.slice(i, i + 400));
    await store.storeDelivered([young]);
    const receipts = new ReadReceipts(db, () => now);
    await receipts.recordAll(
      [old[0]!, young].map(({ message }) => ({
        ...message,
        readerId: reader,
        deviceId: '',
        readAt: now,
      })),
    );
    await new ReceiptLog(db).summarize([old[0]!.message.msgId, young.message.msgId]);
    expect(await purgeMessages({ messages: 0 })).toMatchObject({ removed: 0 });
    expect((await purgeMessages()).pages).toBeGreaterThan(2);
    expect(await stored([...old, young].map(({ message }) => message.msgId))).toEqual(
      new Set([young.message.msgId]),
    );
    for (const table of ['read_receipts', 'read_summaries']) {
      const left = await db.select<{ msg_id: string }>(
        `SELECT msg_id FROM ${table} WHERE msg_id IN (?)`,
        [[old[0]!.message.msgId, young.message.msgId]],
      );
      expect(left).toEqual([{ msg_id: young.message.msgId }]);
    }
    expect(await purgeMessages()).toMatchObject({ removed: 0 });
  });

  it('never removes messages before they have stopped waiting, whatever is set', async () => {
    const young = delivered({ acceptedAt: ago(TTL_DAYS - 1) });
    await store.storeDelivered([young]);
    await purgeMessages({ messages: 1 });
    expect(await stored([young.message.msgId])).toEqual(new Set([young.message.msgId]));
  });

  it('leaves what is under a legal hold: of a sender, a recipient, a conversation', async () => {
    const [held, other, third, group] = [unique('a'), unique('b'), unique('c'), unique('group')];
    const acceptedAt = ago(40);
    const toGroup = {
      ...message({ senderId: other, acceptedAt }),
      conversation: groupConversation(group),
      recipientId: undefined,
    };
    const ofOthers = delivered({ senderId: other, recipientId: third, acceptedAt });
    const all = [
      delivered({ senderId: held, recipientId: other, acceptedAt }),
      delivered({ senderId: other, recipientId: held, acceptedAt }),
      ofOthers,
    ];
    await store.storeDelivered(all);
    // The held user was away: the group's message waited for them.
    await store.storeOffline([{ message: toGroup, recipients: [held] }]);
    await retention().expireInbox({});
    const ids = [...all.map(({ message }) => message.msgId), toGroup.msgId];

    const releases = [
      await hold('user', held),
      await hold('private', privateConversation(other, third).key),
    ];
    expect((await purgeMessages()).held).toBeGreaterThanOrEqual(4);
    await purgeInbox();
    expect(await stored(ids)).toEqual(new Set(ids));
    expect(await rowsOf(held)).toBe(1);

    await releases[1]!();
    await purgeMessages();
    expect(await stored(ids)).toEqual(new Set(ids.filter((id) => id !== ofOthers.message.msgId)));
    const onGroup = await hold('group', group);
    await releases[0]!();
    await purgeMessages();
    expect(await stored(ids)).toEqual(new Set([toGroup.msgId]));
    await onGroup();
    await purgeMessages();
    await purgeInbox();
    expect(await stored(ids)).toEqual(new Set());
    expect(await rowsOf(held)).toBe(0);
  });

  it('goes on after a page full of held rows of one moment', async () => {
    const [held, free] = [unique('held'), unique('free')];
    const acceptedAt = ago(200);
    const entries = Array.from({ length: 1_100 }, () => delivered({ senderId: held, acceptedAt }));
    for (let i = 0; i < entries.length; i += 400) {
      await store.storeDelivered(entries.slice(i, i + 400));
    }
    const behind = Array.from({ length: 20 }, () =>
      delivered({ senderId: free, acceptedAt: acceptedAt + 1 }),
    );
    await store.storeDelivered(behind);
    const release = await hold('user', held);
    expect(await purgeMessages()).toMatchObject({ held: 1_100 });
    expect(await stored(behind.map(({ message }) => message.msgId))).toEqual(new Set());
    await release();
    expect(await purgeMessages()).toMatchObject({ removed: 1_100, held: 0 });
  });

  it('removes exports past their time, chunks and all, also of who is under a hold, and no others', async () => {
    const [held, other] = [unique('held'), unique('other')];
    await store.storeDelivered([delivered({ senderId: held, recipientId: other })]);
    const release = await hold('user', held);
    const late = await exportParts(db, {}, () => ago(1));
    const over = await writeBundle(late, held);
    const fresh = await writeBundle(await exportParts(db), other);
    const work = retention();
    const { removed } = await all(() => work.purgeExportBundles());
    expect(removed).toBeGreaterThan(0);
    for (const table of ['export_bundles', 'export_bundle_chunks', 'export_senders']) {
      const left = await db.select<{ bundle_id: string }>(
        `SELECT DISTINCT bundle_id FROM ${table} WHERE bundle_id IN (?)`,
        [[over, fresh]],
      );
      expect([table, left]).toEqual([table, [{ bundle_id: fresh }]]);
    }
    await release();
  });

  it('keeps receipts that the unread count of a group rests on, and removes the others', async () => {
    const [reader, group] = [unique('reader'), unique('group')];
    const toGroup = {
      ...message({ acceptedAt: ago(20) }),
      conversation: groupConversation(group),
      recipientId: undefined,
    };
    const toReader = delivered({ recipientId: reader });
    await store.storeOffline([{ message: toGroup, recipients: [reader] }]);
    await store.storeDelivered([toReader]);
    await new ReadReceipts(db, () => ago(61)).recordAll(
      [toGroup, toReader.message].map((m) => ({
        ...m,
        readerId: reader,
        deviceId: '',
        readAt: now,
      })),
    );
    const left = async () =>
      (
        await db.select<{ msg_id: string }>(
          'SELECT msg_id FROM read_receipts WHERE reader_id = ? ORDER BY id',
          [reader],
        )
      ).map((row) => row.msg_id);
    const purge = () => {
      const work = retention();
      return all((input: Parameters<Retention['purgeReceipts']>[0]) => work.purgeReceipts(input));
    };
    await purge();
    // Their senders have not heard of them yet.
    expect(await left()).toHaveLength(2);
    await db.execute('UPDATE read_receipts SET published_at = ? WHERE reader_id = ?', [
      now,
      reader,
    ]);
    await purge();
    expect(await left()).toEqual([toGroup.msgId]);
    const seen = [reader, group, toGroup.sequenceNumber];
    await db.execute('INSERT INTO group_reads VALUES (?, ?, ?)', seen);
    await purge();
    expect(await left()).toEqual([]);
  });
});
