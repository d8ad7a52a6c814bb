/** Receipts on their way to the sender: those not published yet, and what they come to. */
import { conversationOf } from '../../domain/ids';
import type { ConversationType } from '../../domain/ids';
import { FIRST_READERS } from '../../domain/receipts';
import type { Receipt } from '../../domain/receipts';
import { chunks, MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { erasedAmong } from './erased-messages';
import { erasedUsersAmong } from './erased-users';
import { compare } from './message-rows';

/** Receipts that a statement goes through, each a row to look up: far below its time also on slow disks. */
const PIECE_RECEIPTS = 5_000;

/** A receipt that Kafka does not have yet. */
export interface UnpublishedReceipt extends Receipt {
  readonly id: number;
}

/** An append that may have happened. */
export interface Publication {
  readonly upToId: number;
  /** Unix ms; also tells one append from another. */
  readonly beganAt: number;
}

interface ReceiptRow extends Omit<UnpublishedReceipt, 'conversation'> {
  readonly type: ConversationType;
  readonly key: string;
}

export class ReceiptLog {
  constructor(private readonly db: Database) {}

  /** The oldest unpublished receipts for messages of this sender, up to an id if one is given. */
  async unpublished(
    senderId: string,
    limit: number,
    upToId = Number.MAX_SAFE_INTEGER,
  ): Promise<UnpublishedReceipt[]> {
    const rows = await this.db.select<ReceiptRow>(
      `SELECT id, msg_id AS msgId, sender_id AS senderId, reader_id AS readerId,
         device_id AS deviceId, conversation_type AS type, conversation_key AS \`key\`,
         read_at AS readAt
       FROM read_receipts WHERE published_at IS NULL AND sender_id = ? AND id <= ?
       ORDER BY id LIMIT ?`,
      [senderId, upToId, limit],
    );
    return rows.map((row) =>
      Object.assign(row, { conversation: conversationOf(row.type, row.key) }),
    );
  }

  /** Notes that an append is about to be made; replaces the one before it, which has been finished. */
  async begin(senderId: string, { upToId, beganAt }: Publication): Promise<void> {
    await this.db.execute(
      `INSERT INTO receipt_publications (sender_id, up_to_id, began_at) VALUES (?, ?, ?)
       ON DUPLICATE KEY UPDATE up_to_id = VALUES(up_to_id), began_at = VALUES(began_at)`,
      [senderId, upToId, beganAt],
    );
  }

  /** The append of a sender's receipts that nobody has finished. */
  async unfinished(senderId: string): Promise<Publication | undefined> {
    const [row] = await this.db.select<Publication>(
      `SELECT up_to_id AS upToId, began_at AS beganAt FROM receipt_publications WHERE sender_id = ?`,
      [senderId],
    );
    return row;
  }

  /** Notes that Kafka has these receipts, and nothing else of that append. */
  async finish(
    senderId: string,
    { beganAt }: Publication,
    ids: readonly number[],
    at: number,
  ): Promise<void> {
    // READ COMMITTED and by their keys: no gap is locked into which receipts are being written.
    await this.db.transaction(async (tx) => {
      for (const piece of chunks(ids)) {
        await tx.execute(
          `UPDATE read_receipts FORCE INDEX (PRIMARY) SET published_at = ?
           WHERE id IN (?) AND published_at IS NULL`,
          [at, piece],
        );
      }
      await tx.execute('DELETE FROM receipt_publications WHERE sender_id = ? AND began_at = ?', [
        senderId,
        beganAt,
      ]);
    });
  }

  /**
   * Of receipts that are about to be published, the first of each reader and message, unless one of them
   * was published before: a sender hears once that somebody has read it, not once for each of their devices.
   */
  async firstOfReaders(receipts: readonly UnpublishedReceipt[]): Promise<UnpublishedReceipt[]> {
    const known = new Set<string>();
    for (const piece of chunks(receipts)) {
      const rows = await this.db.select<{ msgId: string; readerId: string }>(
        `SELECT msg_id AS msgId, reader_id AS readerId
         FROM read_receipts FORCE INDEX (uk_read_receipts_reader)
         WHERE (msg_id, reader_id) IN (?) AND published_at IS NOT NULL`,
        [piece.map(({ msgId, readerId }) => [msgId, readerId])],
      );
      for (const row of rows) known.add(readingOf(row));
    }
    return receipts.filter((receipt) => {
      const reading = readingOf(receipt);
      return !known.has(reading) && known.add(reading);
    });
  }

  /** Makes the summaries of these messages anew from all of their receipts; they only grow. */
  async summarize(msgIds: readonly string[]): Promise<void> {
    for (const piece of await inPieces(this.db, msgIds)) {
      await this.db.transaction(async (tx) => {
        await summarize(tx, piece);
        // After the insert, whose locks a deletion waits for.
        const erased = await erasedAmong(tx, piece);
        if (erased.size > 0) {
          await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [[...erased]]);
        }
        await withoutErasedReaders(tx, piece);
        await withoutErasedSenders(tx, piece);
      });
    }
  }

  /** Senders with receipts that have waited since before `recordedBefore`, after `afterSenderId`. */
  async sendersWaiting(
    afterSenderId: string,
    recordedBefore: number,
    limit: number,
  ): Promise<string[]> {
    const rows = await this.db.select<{ sender_id: string }>(
      `SELECT DISTINCT sender_id FROM read_receipts
       WHERE published_at IS NULL AND sender_id > ? AND recorded_at < ?
       ORDER BY sender_id LIMIT ?`,
      [afterSenderId, recordedBefore, Math.min(limit, MAX_ROWS)],
    );
    return rows.map((row) => row.sender_id);
  }
}

/** That a user has read a message, on whatever device; no id contains `/`. */
function readingOf({ msgId, readerId }: Pick<Receipt, 'msgId' | 'readerId'>): string {
  return `${msgId}/${readerId}`;
}

/**
 * Receipts of a user may have been erased after they were read here. With the summaries locked, another
 * look is right: either that erasure is over, or it comes to these summaries after us.
 */
async function withoutErasedReaders(tx: Queryable, msgIds: readonly string[]): Promise<void> {
  const named = await tx.select<{ msg_id: string; first_readers: string }>(
    'SELECT msg_id, first_readers FROM read_summaries WHERE msg_id IN (?)',
    [msgIds],
  );
  const readers = named.map((row) => JSON.parse(row.first_readers) as string[]);
  const erased = await erasedUsersAmong(tx, readers.flat());
  const again = named
    .filter((_, i) => readers[i]?.some((reader) => erased.has(reader)))
    .map((row) => row.msg_id);
  if (again.length === 0) return;
  await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [again]);
  await summarize(tx, again);
}

/** The same for those on messages of a user: what has no receipt of a living sender has no summary. */
async function withoutErasedSenders(tx: Queryable, msgIds: readonly string[]): Promise<void> {
  const rows = await tx.select<{ msg_id: string }>(
    `SELECT s.msg_id FROM read_summaries s WHERE s.msg_id IN (?)
       AND NOT EXISTS (
         SELECT 1 FROM read_receipts r
         WHERE r.msg_id = s.msg_id AND r.sender_id NOT IN (SELECT user_id FROM erased_users))`,
    [msgIds],
  );
  if (rows.length === 0) return;
  await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [
    rows.map((row) => row.msg_id),
  ]);
}

/**
 * The messages in pieces whose receipts {@link summarize} goes through well within a statement's time; a
 * message whose readers are more than that is a piece of its own.
 */
export async function inPieces(on: Queryable, msgIds: readonly string[]): Promise<string[][]> {
  const pieces: string[][] = [];
  for (const piece of chunks([...new Set(msgIds)].sort(compare))) {
    pieces.push(...(await halved(on, piece)));
  }
  return pieces;
}

async function halved(on: Queryable, msgIds: string[]): Promise<string[][]> {
  if (msgIds.length === 1) return [msgIds];
  const [found] = await on.select<{ n: number }>(
    `SELECT COUNT(*) AS n FROM
       (SELECT 1 FROM read_receipts WHERE msg_id IN (?) LIMIT ${PIECE_RECEIPTS + 1}) found`,
    [msgIds],
  );
  if (!found || found.n <= PIECE_RECEIPTS) return [msgIds];
  const half = Math.ceil(msgIds.length / 2);
  return [...(await halved(on, msgIds.slice(0, half))), ...(await halved(on, msgIds.slice(half)))];
}

/** See {@link ReceiptLog.summarize}; of one of the pieces of {@link inPieces}. */
export async function summarize(on: Queryable, msgIds: readonly string[]): Promise<void> {
  const counts = await on.select<SummaryRow>(
    `SELECT msg_id, COUNT(DISTINCT reader_id) AS readers, MIN(read_at) AS first,
         MAX(read_at) AS last, MIN(reader_id) AS reader
       FROM read_receipts WHERE msg_id IN (?) GROUP BY msg_id ORDER BY msg_id`,
    [msgIds],
  );
  if (counts.length === 0) return;
  const rows: unknown[][] = [];
  for (const { msg_id, readers, first, last, reader } of counts) {
    // One after another, and only for groups: a page must not take the whole pool.
    const named = readers === 1 ? [reader] : await firstReaders(on, msg_id);
    rows.push([msg_id, readers, first, last, JSON.stringify(named)]);
  }
  await on.execute(
    `INSERT INTO read_summaries (msg_id, reader_count, first_read_at, last_read_at, first_readers)
       VALUES ? ON DUPLICATE KEY UPDATE
         first_readers = IF(VALUES(reader_count) >= reader_count, VALUES(first_readers), first_readers),
         first_read_at = LEAST(first_read_at, VALUES(first_read_at)),
         last_read_at = GREATEST(last_read_at, VALUES(last_read_at)),
         reader_count = GREATEST(reader_count, VALUES(reader_count))`,
    [rows],
  );
}

async function firstReaders(on: Queryable, msgId: string): Promise<string[]> {
  const rows = await on.select<{ reader_id: string }>(
    `SELECT reader_id FROM read_receipts WHERE msg_id = ?
       GROUP BY reader_id ORDER BY MIN(read_at), reader_id LIMIT ${FIRST_READERS}`,
    [msgId],
  );
  return rows.map((row) => row.reader_id);
}

interface SummaryRow {
  readonly msg_id: string;
  readonly readers: number;
  readonly first: number;
  readonly last: number;
  /** Any one of them. */
  readonly reader: string;
}
