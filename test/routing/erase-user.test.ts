/** What a user's erasure takes away and what stays, step by step, on real MySQL and Redis. */
import { randomUUID } from 'node:crypto';
import type { Database } from '../../src/activities/mysql/database';
import { Conversations } from '../../src/activities/mysql/conversations';
import { ErasedUsers } from '../../src/activities/mysql/erased-users';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { ExportBundles } from '../../src/activities/mysql/export-bundles';
import { Holds } from '../../src/activities/mysql/holds';
import { Inbox } from '../../src/activities/mysql/inbox';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { ReceiptLog } from '../../src/activities/mysql/receipt-log';
import { ReceiptPages } from '../../src/activities/mysql/receipt-pages';
import { ERASED_POLL_MS } from '../../src/domain/erasure';
import { groupConversation } from '../../src/domain/ids';
import { createLogger } from '../../src/logger';
import { EraseUser } from '../../src/routing/erase-user';
import { encryptionOn, openEncryption } from '../support/encryption';
import { exportParts, readBundle, writeBundle, writeSections } from '../support/exports';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { delivered, message, offline } from '../support/records';
import { waitFor } from '../support/wait';

const SECRET = 'what the erased user wrote';
const log = createLogger('silent', 'test');
const goOn = new AbortController().signal;

describe('the erasure of a user', () => {
  let db: Database;
  let store: MessageStore;
  let inbox: Inbox;
  let rows: ErasureRows;
  const subtracted = new Map<string, number>();

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 600_000 });
    inbox = new Inbox(db);
    rows = new ErasureRows(db, Date.now);
  });
  afterAll(() => db.close());

  const eraser = () =>
    new EraseUser({
      rows,
      holds: new Holds(db, Date.now),
      traces: { erasePage: () => Promise.resolve({ removed: 0, next: undefined }) },
      counts: {
        subtract: (userId, count) => {
          subtracted.set(userId, (subtracted.get(userId) ?? 0) + count);
          return Promise.resolve();
        },
      },
      bundles: new ExportBundles(db),
      log,
    });

  async function eraseAll(userId: string): Promise<void> {
    const erase = eraser();
    await erase.destroyKeys(userId, goOn);
    await erase.messages(userId, goOn);
    await erase.inbox(userId, goOn);
    await erase.receipts(userId, goOn);
    await erase.groups(userId, goOn);
    await erase.exports(userId);
  }

  it('takes the content of what they sent, for everybody, and leaves a place that says so', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const sent = Array.from({ length: 450 }, (_, i) =>
      delivered({
        senderId: alice,
        recipientId: bob,
        content: SECRET,
        metadata: { note: SECRET },
        sequenceNumber: 2 * i + 1,
      }),
    );
    const answers = delivered({ senderId: bob, recipientId: alice, sequenceNumber: 2_000 });
    await store.storeDelivered([...sent, answers]);
    await eraseAll(alice);
    const { conversation } = answers.message;
    const conversations = new Conversations(db);
    const history = await conversations.messagesAfter(bob, { conversation, since: 0 }, 0, 500);
    expect(history).toHaveLength(451);
    expect(JSON.stringify(history)).not.toContain(SECRET);
    const { content } = await openEncryption(db, encryptionOn());
    const opened = await content.open(history);
    expect(opened.filter(({ unreadable }) => unreadable === 'erased')).toHaveLength(450);
    expect(opened.at(-1)).toMatchObject({ content: 'hello', senderId: bob });
    // Nobody has to read what is no more, and nobody can mark it.
    expect(await conversations.unreadPrivate(bob)).toEqual([]);
    expect(await conversations.facts(sent[0]!.message.msgId)).toBeUndefined();
  });

  it('ends the wait of what they sent, and the counts of those for whom it waited follow', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const toGroup = {
      ...message({ senderId: alice, content: SECRET }),
      conversation: groupConversation(unique('group')),
      recipientId: undefined,
    };
    const fromCarol = offline({ senderId: carol, recipientId: bob });
    await store.storeOffline([
      offline({ senderId: alice, recipientId: bob, content: SECRET }),
      { message: toGroup, recipients: [bob, carol] },
      fromCarol,
    ]);
    await eraseAll(alice);
    expect(await inbox.pendingCount(bob)).toBe(1);
    expect(await inbox.pendingCount(carol)).toBe(0);
    expect(
      (await inbox.readPending(bob, 10, Date.now())).map(({ message }) => message.msgId),
    ).toEqual([fromCarol.message.msgId]);
    expect([subtracted.get(bob), subtracted.get(carol)]).toEqual([2, 1]);
  });

  it('takes their inbox, receipts, devices and places in groups; of others nothing changes', async () => {
    const [alice, bob, carol, group] = [
      unique('alice'),
      unique('bob'),
      unique('carol'),
      unique('group'),
    ];
    const toAlice = delivered({ senderId: bob, recipientId: alice }, Date.now(), ['alices-phone']);
    const toGroup = {
      ...message({ senderId: bob }),
      conversation: groupConversation(group),
      recipientId: undefined,
    };
    await store.storeDelivered([toAlice]);
    await store.storeOffline([{ message: toGroup, recipients: [alice, carol] }]);
    const receipts = new ReadReceipts(db, Date.now);
    const read = (m: typeof toGroup | typeof toAlice.message, readerId: string, readAt: number) =>
      receipts.recordAll([{ ...m, readerId, deviceId: 'alices-phone', readAt }]);
    await read(toAlice.message, alice, 1_000);
    await read(toGroup, alice, 2_000);
    await read(toGroup, carol, 3_000);
    await new ReceiptLog(db).summarize([toAlice.message.msgId, toGroup.msgId]);
    await db.execute('INSERT INTO group_reads VALUES (?, ?, 1), (?, ?, 1)', [
      alice,
      group,
      carol,
      group,
    ]);
    await eraseAll(alice);
    const pages = new ReceiptPages(db);
    expect(await pages.summary(toAlice.message.msgId)).toBeUndefined();
    expect(await pages.summary(toGroup.msgId)).toEqual({
      readerCount: 1,
      firstReadAt: 3_000,
      lastReadAt: 3_000,
      firstReaders: [carol],
    });
    expect(await store.findStatus(toAlice.message.msgId)).toMatchObject({
      status: 'delivered',
      readAt: 0,
      deliveredDevices: [],
    });
    expect(await store.findStatus(toGroup.msgId)).toMatchObject({ readAt: 3_000 });
    expect(await rows.traces(alice)).toEqual({
      keys: 0,
      messages: 0,
      inboxRows: 0,
      receipts: 0,
      groupRows: 0,
    });
    expect((await rows.traces(carol)).groupRows).toBe(1);
    expect((await rows.traces(bob)).messages).toBe(2);
  });

  it('takes exports with them: their own, and those of others that hold messages of theirs', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    await store.storeDelivered([
      delivered({ senderId: alice, recipientId: bob, content: SECRET }),
      delivered({ senderId: carol, recipientId: bob }),
      delivered({ senderId: carol, recipientId: alice }),
    ]);
    const parts = await exportParts(db);
    const gone = [await writeBundle(parts, alice), await writeBundle(parts, bob)];
    const kept = await writeBundle(parts, carol);
    // Being read while she is erased, by a writer that has her message and has not stored it yet.
    const slow = unique('bundle');
    await parts.writer.begin(slow, bob);
    await eraseAll(alice);
    for (const bundleId of gone) {
      await expect(readBundle(parts, bundleId)).rejects.toMatchObject({ name: 'BundleGone' });
    }
    expect(await readBundle(parts, kept)).toContain(carol);
    await writeSections(parts.writer, slow);
    expect(await readBundle(parts, slow)).not.toContain(SECRET);
    // Begun after she was erased, or stored with what was read before: it is hers, or to be read again.
    await parts.bundles.begin({ ...(await parts.bundles.find(slow))!, bundleId: `${slow}-2` });
    const step = { progress: (await parts.bundles.find(slow))!.progress, expiresAt: Date.now() };
    const at = { bundleId: `${slow}-2`, userId: bob, chunks: 0 };
    await expect(parts.bundles.advance(at, { ...step, senders: [alice] })).rejects.toMatchObject({
      name: 'ReadAgain',
    });
    await expect(parts.bundles.advance({ ...at, userId: alice }, step)).rejects.toMatchObject({
      name: 'BundleGone',
    });
  });

  it('names them in no summary of receipts that was being made meanwhile', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const toGroup = {
      ...message({ senderId: bob }),
      conversation: groupConversation(unique('group')),
      recipientId: undefined,
    };
    await store.storeOffline([{ message: toGroup, recipients: [alice, carol] }]);
    const receipts = new ReadReceipts(db, Date.now);
    const read = (readerId: string) =>
      receipts.recordAll([{ ...toGroup, readerId, deviceId: '', readAt: 1_000 }]);
    await read(carol);
    await eraseAll(alice);
    // As if it had read her receipt just before that was erased.
    await db.execute(
      `INSERT INTO read_summaries (msg_id, reader_count, first_read_at, last_read_at, first_readers)
       VALUES (?, 2, 1, 2, ?)`,
      [toGroup.msgId, JSON.stringify([alice, carol])],
    );
    await new ReceiptLog(db).summarize([toGroup.msgId]);
    expect(await new ReceiptPages(db).summary(toGroup.msgId)).toMatchObject({
      readerCount: 1,
      firstReaders: [carol],
    });
  });

  it('stays true for records that come late or again: nothing of theirs is stored, nothing waits for them', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const before = offline({ senderId: alice, recipientId: bob, content: SECRET });
    await store.storeOffline([before]);
    await eraseAll(alice);
    const late = offline({ senderId: alice, recipientId: bob, content: SECRET });
    const lateDelivered = delivered({ senderId: alice, recipientId: bob, content: SECRET });
    const toAlice = offline({ senderId: bob, recipientId: alice });
    const { newRows, conflicting } = await store.storeOffline([before, late, toAlice]);
    expect([newRows.size, conflicting.size]).toEqual([0, 0]);
    await store.storeDelivered([lateDelivered]);
    const found = await store.findMessages(
      [before, late, lateDelivered, toAlice].map(({ message }) => message.msgId),
    );
    expect([...found.keys()].sort()).toEqual(
      [before, toAlice].map(({ message }) => message.msgId).sort(),
    );
    expect(found.get(before.message.msgId)?.message).toMatchObject({ content: '', erased: true });
    // The sender keeps what they sent.
    expect(found.get(toAlice.message.msgId)?.message.content).toBe('hello');
    expect(await inbox.pendingCount(alice)).toBe(0);
  });

  it('is known to every process soon: none makes a key for them, or opens with one it remembers', async () => {
    const alice = unique('alice');
    const erased = new ErasedUsers({ db, now: Date.now, log });
    await erased.start();
    try {
      const process = await openEncryption(db, encryptionOn(), erased);
      const sealed = await process.content.seal(message({ senderId: alice, content: SECRET }));
      expect((await process.content.open([sealed]))[0]?.content).toBe(SECRET);
      await eraser().destroyKeys(alice, goOn);
      await waitFor('the process to know', 10 * ERASED_POLL_MS, () =>
        Promise.resolve(erased.has(alice)),
      );
      expect((await process.content.open([sealed]))[0]).toMatchObject({
        content: '',
        unreadable: 'keyless',
      });
      await expect(process.content.seal(message({ senderId: alice }))).rejects.toMatchObject({
        code: 'ENCRYPTION_ERROR',
      });
      // A process that has not heard of it yet gets no key either.
      const another = await openEncryption(db, encryptionOn());
      await expect(another.keys.current(alice)).rejects.toThrow('erased');
      expect((await rows.traces(alice)).keys).toBe(0);
    } finally {
      await erased.close();
    }
  });

  it('is not missed by a process that cannot look: it then asks MySQL before it opens anything', async () => {
    const alice = unique('alice');
    const deaf = { has: () => false, isFresh: () => fresh };
    let fresh = true;
    const process = await openEncryption(db, encryptionOn(), deaf);
    const sealed = await process.content.seal(message({ senderId: alice, content: SECRET }));
    await eraser().destroyKeys(alice, goOn);
    fresh = false;
    expect((await process.content.open([sealed]))[0]).toMatchObject({ unreadable: 'keyless' });
  });

  it('is held back by a legal hold on them, on who they wrote to, or on a conversation of theirs', async () => {
    const holds = new Holds(db, Date.now);
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const sent = delivered({ senderId: alice, recipientId: bob });
    await store.storeDelivered([sent]);
    const place = async (kind: 'user' | 'private' | 'group', subject: string) => {
      const holdId = randomUUID();
      await holds.place({ holdId, kind, subject, reason: 'a case', placedBy: 'officer' });
      return () => holds.release(holdId, 'officer');
    };
    expect(await eraser().isHeld(alice, goOn)).toBe(false);
    for (const [kind, subject] of [
      ['user', alice],
      ['user', bob],
      ['private', sent.message.conversation.key],
    ] as const) {
      const release = await place(kind, subject);
      expect([kind, await eraser().isHeld(alice, goOn)]).toEqual([kind, true]);
      await release();
      expect(await eraser().isHeld(alice, goOn)).toBe(false);
    }
    const release = await place('user', carol);
    expect(await eraser().isHeld(alice, goOn)).toBe(false);
    await release();
  });
});
