/** What others write of a user while they are erased, and afterwards: none of it stays. */
import type { Database } from '../../src/activities/mysql/database';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { ReceiptLog } from '../../src/activities/mysql/receipt-log';
import { ReceiptPages } from '../../src/activities/mysql/receipt-pages';
import { groupConversation } from '../../src/domain/ids';
import type { SequencedMessage } from '../../src/domain/message';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { delivered, message } from '../support/records';

describe('of a user who is erased', () => {
  let db: Database;
  let store: MessageStore;
  let rows: ErasureRows;
  let receipts: ReadReceipts;

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 600_000 });
    rows = new ErasureRows(db, Date.now);
    receipts = new ReadReceipts(db, Date.now);
  });
  afterAll(() => db.close());

  const read = (of: SequencedMessage, readerId: string, readAt = 1_000) =>
    receipts.recordAll([{ ...of, readerId, deviceId: 'phone', readAt }]);
  const readersOf = (msgId: string) => new ReceiptPages(db).readers(msgId, '', 10);

  async function receiptsGone(userId: string): Promise<void> {
    while (await rows.eraseReceipts(userId));
  }

  it('receipts that came while their messages were erased go too, in batches, with their sums', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const kept = delivered({ senderId: bob });
    const toGroup = {
      ...message({ senderId: alice }),
      conversation: groupConversation(unique('group')),
      recipientId: undefined,
    };
    await store.storeDelivered([kept]);
    await store.storeOffline([{ message: toGroup, recipients: [] }]);
    await rows.eraseMessages(alice, 0);
    // More than one batch, on a message that is erased, and one on a message that is never stored.
    const unstored = message({ senderId: alice, recipientId: bob });
    await receipts.recordAll(
      Array.from({ length: 450 }, (_, i) => {
        return { ...toGroup, readerId: unique(`reader-${i}`), deviceId: '', readAt: 1_000 };
      }),
    );
    await read(unstored, bob);
    await read(kept.message, unique('carol'));
    const ids = [toGroup.msgId, unstored.msgId, kept.message.msgId];
    await new ReceiptLog(db).summarize(ids);
    expect((await rows.traces(alice)).receipts).toBe(451);
    await rows.markAndDestroyKeys(alice);
    expect(await rows.eraseReceipts(alice)).toBe(true);
    expect((await rows.traces(alice)).receipts).toBe(251);
    await receiptsGone(alice);
    expect((await rows.traces(alice)).receipts).toBe(0);
    const pages = new ReceiptPages(db);
    const sums = await Promise.all(ids.map((msgId) => pages.summary(msgId)));
    expect(sums.map((sum) => sum?.readerCount)).toEqual([undefined, undefined, 1]);
  });

  it('no receipt is taken any more, whether its message was stored or not', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const stored = delivered({ senderId: alice, recipientId: bob });
    await store.storeDelivered([stored]);
    await rows.markAndDestroyKeys(alice);
    const other = message({ senderId: unique('carol'), recipientId: bob });
    const unstored = message({ senderId: alice, recipientId: bob });
    await receipts.recordAll(
      [stored.message, unstored, other].map((of) => {
        return { ...of, readerId: bob, deviceId: '', readAt: 1_000 };
      }),
    );
    expect(await readersOf(stored.message.msgId)).toEqual([]);
    expect(await readersOf(unstored.msgId)).toEqual([]);
    expect(await readersOf(other.msgId)).toHaveLength(1);
  });

  it('no devices are stored with records of what they were sent that come late or again', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const before = delivered({ senderId: bob, recipientId: alice }, 500, ['alices-phone']);
    await store.storeDelivered([before]);
    await rows.markAndDestroyKeys(alice);
    await rows.eraseDevices(alice, 0);
    const late = delivered({ senderId: bob, recipientId: alice }, 600, ['alices-phone']);
    const toBob = delivered({ senderId: alice, recipientId: bob });
    const answer = delivered({ senderId: unique('carol'), recipientId: bob }, 700, ['bobs-phone']);
    const taken = delivered({ ...late.message, senderId: unique('dave') });
    const entries = [{ ...before, devices: ['alices-tablet'] }, late, toBob, answer, taken];
    const conflicting = await store.storeDelivered(entries);
    // The very entries, by which whoever gave them knows them again.
    expect([...conflicting]).toEqual([taken]);
    expect(conflicting.has(taken)).toBe(true);
    for (const [entry, deliveredAt] of [
      [before, 500],
      [late, 600],
    ] as const) {
      expect(await store.findStatus(entry.message.msgId)).toMatchObject({
        status: 'delivered',
        deliveredAt,
        deliveredDevices: [],
      });
    }
    expect(await store.findStatus(answer.message.msgId)).toMatchObject({
      deliveredDevices: ['bobs-phone'],
    });
    expect(await store.findStatus(toBob.message.msgId)).toBeUndefined();
  });

  it('no sum of receipts stays that was being made while these were removed', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const toBob = message({ senderId: alice, recipientId: bob });
    const unfinished = message({ senderId: alice, recipientId: bob });
    await read(unfinished, bob);
    await rows.markAndDestroyKeys(alice);
    // As if the receipts had been read just before they were removed.
    await db.execute(
      `INSERT INTO read_summaries (msg_id, reader_count, first_read_at, last_read_at, first_readers)
       VALUES (?, 1, 1, 1, ?)`,
      [toBob.msgId, JSON.stringify([bob])],
    );
    await new ReceiptLog(db).summarize([toBob.msgId, unfinished.msgId]);
    const pages = new ReceiptPages(db);
    expect(await pages.summary(toBob.msgId)).toBeUndefined();
    expect(await pages.summary(unfinished.msgId)).toBeUndefined();
  });
});
