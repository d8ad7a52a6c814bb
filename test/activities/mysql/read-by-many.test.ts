/** Deletion, erasure and retention where each message was read by very many. */
import { randomUUID } from 'node:crypto';
import { Database } from '../../../src/activities/mysql/database';
import { ErasedMessages } from '../../../src/activities/mysql/erased-messages';
import { ErasureRows } from '../../../src/activities/mysql/erasure-rows';
import { MessageRemoval } from '../../../src/activities/mysql/message-removal';
import { MessageStore } from '../../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../../src/activities/mysql/read-receipts';
import { ReceiptLog } from '../../../src/activities/mysql/receipt-log';
import { ReceiptPages } from '../../../src/activities/mysql/receipt-pages';
import { RetentionRows } from '../../../src/activities/mysql/retention-rows';
import { groupConversation } from '../../../src/domain/ids';
import type { SequencedMessage } from '../../../src/domain/message';
import { fillReceipts } from '../../support/many-receipts';
import { unique } from '../../support/ids';
import { measure } from '../../support/measured';
import type { Measure } from '../../support/measured';
import { createDatabase } from '../../support/mysql';
import { message } from '../../support/records';

/** Rows of one statement that end well within IM_MYSQL_DEADLINE_MS: reads and changes, added up. */
const FEW = 2_000;
/** The same of one that only reads. */
const FEW_READ = 12_000;
const ANY_RECEIPT = 'SELECT 1 FROM read_receipts WHERE msg_id IN (?) LIMIT 1';

describe('messages that very many have read', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let measured: Measure;
  const readers = Array.from({ length: 200 }, () => unique('reader'));

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 1, deadlineMs: 5_000 });
    measured = measure(db);
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
  });

  async function group(count: number, by = readers, senderId = unique('sender')) {
    const conversation = groupConversation(unique('group'));
    const messages: SequencedMessage[] = Array.from({ length: count }, (_, i) => ({
      ...message({ senderId, acceptedAt: 1_000 }),
      conversation,
      recipientId: undefined,
      sequenceNumber: i + 1,
    }));
    const store = new MessageStore(db, { ttlMs: 600_000 });
    await store.storeOffline(messages.map((each) => ({ message: each, recipients: [] })));
    await fillReceipts(db, messages, by);
    measured.largest();
    return messages;
  }
  const idsOf = (messages: readonly SequencedMessage[]) => messages.map(({ msgId }) => msgId);
  const receiptsOf = async (messages: readonly SequencedMessage[]) =>
    (await db.select('SELECT 1 FROM read_receipts WHERE msg_id IN (?)', [idsOf(messages)])).length;
  const receipt = ({ msgId, senderId, conversation }: SequencedMessage, readerId: string) => ({
    msgId,
    senderId,
    conversation,
    readerId,
    deviceId: '',
    readAt: 500,
  });

  test('are deleted, receipts and hidden rows and all, by statements of few rows', async () => {
    const members = Array.from({ length: 2_500 }, () => unique('reader'));
    const [doomed] = (await group(1, members)) as [SequencedMessage];
    await db.execute('INSERT INTO hidden_messages VALUES ?', [
      members.map((userId) => [userId, doomed.msgId, 1]),
    ]);
    measured.largest();
    const removal = new MessageRemoval(db);
    expect(await removal.removeContent(doomed.msgId)).toEqual({ messages: 1, hidden: 2_500 });
    expect(await removal.removeReceipts(doomed.msgId)).toEqual({ receipts: 2_500, summaries: 0 });
    expect(measured.largest()).toBeLessThan(FEW);
    expect(await receiptsOf([doomed])).toBe(0);
  });

  test('are told from those being deleted when one more reads them: only that receipt goes', async () => {
    const [doomed] = (await group(1)) as [SequencedMessage];
    await new ErasedMessages(db, Date.now).add(doomed.msgId, randomUUID(), Date.now() + 60_000);
    await new ReadReceipts(db, Date.now).recordAll([receipt(doomed, unique('late'))]);
    expect(await receiptsOf([doomed])).toBe(readers.length);
  });

  test('are erased with their sender by statements of few rows, with what is read meanwhile', async () => {
    const messages = await group(30);
    const [first] = messages as [SequencedMessage];
    const rows = new ErasureRows(db, Date.now);
    // After the short transactions, and before the one that erases.
    let isRead = false;
    const transaction = db.transaction.bind(db);
    db.transaction = async (work) => {
      const outcome = await transaction(work);
      const left = await db.select(ANY_RECEIPT, [idsOf(messages)]);
      if (!isRead && left.length === 0) {
        isRead = true;
        await fillReceipts(db, [first], [unique('late')]);
      }
      return outcome;
    };
    try {
      for (let after: number | undefined = 0; after !== undefined;) {
        after = (await rows.eraseMessages(first.senderId, after)).next;
      }
    } finally {
      db.transaction = transaction;
    }
    expect(isRead).toBe(true);
    expect(measured.largest()).toBeLessThan(FEW);
    expect(await receiptsOf(messages)).toBe(0);
    expect((await rows.traces(first.senderId)).messages).toBe(0);
  });

  test('are purged by statements of few rows', async () => {
    const messages = await group(30);
    const rows = new RetentionRows(db);
    const page = (await rows.messages({ time: 0, skip: 0 }, 1_000, 500)).filter(({ msgId }) =>
      idsOf(messages).includes(msgId),
    );
    while (!(await rows.clearMessages(page)));
    expect(await rows.removeMessages(page)).toBe(30);
    expect(measured.largest()).toBeLessThan(FEW);
    expect(await receiptsOf(messages)).toBe(0);
  });

  test('are summed up anew for one reader who is erased, a few in a statement', async () => {
    const [alice, others] = [unique('alice'), readers.slice(0, 100)];
    const messages = await group(190, [alice, ...others]);
    await new ReceiptLog(db).summarize(idsOf(messages));
    expect(measured.largest()).toBeLessThan(FEW_READ);
    const pages = new ReceiptPages(db);
    expect(await pages.summary(messages[0]!.msgId)).toMatchObject({ readerCount: 101 });
    const rows = new ErasureRows(db, Date.now);
    while (await rows.eraseReceipts(alice));
    expect(measured.largest()).toBeLessThan(FEW_READ);
    for (const { msgId } of [messages[0]!, messages.at(-1)!]) {
      const summary = await pages.summary(msgId);
      expect(summary).toMatchObject({ readerCount: 100, firstReadAt: 1_001 });
      expect(summary?.firstReaders).not.toContain(alice);
    }
    const times = await db.select<{ read_at: number }>(
      'SELECT DISTINCT read_at FROM messages WHERE msg_id IN (?)',
      [idsOf(messages)],
    );
    expect(times).toEqual([{ read_at: 1_001 }]);
  });
});
