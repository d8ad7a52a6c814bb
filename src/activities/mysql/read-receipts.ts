/** Receipts in MySQL. The first time of each reader and device is kept; writing again changes nothing. */
import type { Receipt } from '../../domain/receipts';
import { Coalescer } from '../coalescer';
import { chunks } from './chunks';
import type { Database, Queryable } from './database';
import { erasedAmong } from './erased-messages';
import { compare } from './message-rows';
import { INBOX_STATE } from './message-store';

/** What recording a receipt came to. */
export interface Recorded {
  /** The time that counts: of this receipt, or of the one that came before it. */
  readonly readAt: number;
  /** Whether the message waited in the reader's inbox until now. */
  readonly waited: boolean;
}

/** Receipts of one transaction. */
const MAX_BATCH = 200;
/** Receipts that may wait for theirs. */
const MAX_QUEUED = 5_000;

export class ReadReceipts {
  private readonly queue: Coalescer<Receipt, Recorded>;

  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {
    this.queue = new Coalescer({
      run: (receipts) => this.recordAll(receipts),
      maxBatch: MAX_BATCH,
      maxQueued: MAX_QUEUED,
    });
  }

  /** Records one receipt, together with those that come at the same time. */
  record(receipt: Receipt): Promise<Recorded> {
    return this.queue.add(receipt);
  }

  /**
   * Records receipts in one transaction: the receipts themselves, the read time of their messages
   * where it is the first, and the readers' inboxes, where the messages wait no more.
   */
  async recordAll(receipts: readonly Receipt[]): Promise<Recorded[]> {
    if (receipts.length === 0) return [];
    const distinct = new Map<string, Receipt>();
    for (const receipt of receipts) {
      const name = nameOf(receipt);
      if (!distinct.has(name)) distinct.set(name, receipt);
    }
    const sorted = [...distinct.entries()].sort(([a], [b]) => compare(a, b)).map(([, r]) => r);
    return this.db.transaction(async (tx) => {
      const waiting = await waitingRows(tx, sorted);
      // Heads before everything else, as wherever inboxes are changed.
      await lockHeads(tx, [...waiting.keys()]);
      await insert(tx, sorted, this.now());
      await dropErased(tx, sorted);
      const kept = await firstTimes(tx, sorted);
      await noteReadTimes(tx, sorted, kept);
      const settled = await settleInboxes(tx, waiting, this.now());
      return receipts.map((receipt) => {
        return {
          readAt: kept.get(nameOf(receipt)) ?? receipt.readAt,
          waited: settled.has(`${receipt.readerId}/${receipt.msgId}`),
        };
      });
    });
  }
}

/** No id contains `/`. */
function nameOf(receipt: Receipt): string {
  return `${receipt.msgId}/${receipt.readerId}/${receipt.deviceId}`;
}

/** Of messages that are erased: asked after the inserts, whose locks a deletion waits for. */
async function dropErased(tx: Queryable, receipts: readonly Receipt[]): Promise<void> {
  const erased = await erasedAmong(
    tx,
    receipts.map(({ msgId }) => msgId),
  );
  if (erased.size === 0) return;
  await tx.execute('DELETE FROM read_receipts WHERE msg_id IN (?)', [[...erased]]);
}

/** The messages that wait, by reader. */
async function waitingRows(
  tx: Queryable,
  receipts: readonly Receipt[],
): Promise<Map<string, string[]>> {
  const waiting = new Map<string, string[]>();
  for (const piece of chunks(receipts)) {
    const rows = await tx.select<{ user_id: string; msg_id: string }>(
      'SELECT user_id, msg_id FROM inbox WHERE (user_id, msg_id) IN (?) AND state = ?',
      [piece.map((receipt) => [receipt.readerId, receipt.msgId]), INBOX_STATE.pending],
    );
    for (const row of rows) {
      waiting.set(row.user_id, [...(waiting.get(row.user_id) ?? []), row.msg_id]);
    }
  }
  return waiting;
}

async function lockHeads(tx: Queryable, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return;
  await tx.select(
    'SELECT user_id FROM inbox_heads WHERE user_id IN (?) ORDER BY user_id FOR UPDATE',
    [userIds],
  );
}

async function firstTimes(
  tx: Queryable,
  receipts: readonly Receipt[],
): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const piece of chunks(receipts)) {
    const rows = await tx.select<Receipt>(
      `SELECT msg_id AS msgId, reader_id AS readerId, device_id AS deviceId, read_at AS readAt
       FROM read_receipts WHERE (msg_id, reader_id, device_id) IN (?)`,
      [piece.map((receipt) => [receipt.msgId, receipt.readerId, receipt.deviceId])],
    );
    for (const row of rows) times.set(nameOf(row), row.readAt);
  }
  return times;
}

async function insert(tx: Queryable, receipts: readonly Receipt[], now: number): Promise<void> {
  for (const piece of chunks(receipts)) {
    await tx.execute(
      `INSERT INTO read_receipts (msg_id, reader_id, device_id, sender_id, conversation_type,
         conversation_key, read_at, recorded_at)
       VALUES ? ON DUPLICATE KEY UPDATE msg_id = read_receipts.msg_id`,
      [
        piece.map((receipt) => [
          receipt.msgId,
          receipt.readerId,
          receipt.deviceId,
          receipt.senderId,
          receipt.conversation.type,
          receipt.conversation.key,
          receipt.readAt,
          now,
        ]),
      ],
    );
  }
}

/** The first reader's time becomes the message's; whoever reads a private message has received it. */
async function noteReadTimes(
  tx: Queryable,
  receipts: readonly Receipt[],
  kept: ReadonlyMap<string, number>,
): Promise<void> {
  const times = new Map<string, number>();
  for (const receipt of receipts) {
    const readAt = kept.get(nameOf(receipt)) ?? receipt.readAt;
    times.set(receipt.msgId, Math.min(times.get(receipt.msgId) ?? readAt, readAt));
  }
  for (const piece of chunks([...times])) {
    const cases = piece.map(() => 'WHEN ? THEN ?').join(' ');
    const values = piece.flat();
    await tx.execute(
      `UPDATE messages SET
         delivered_at = CASE WHEN conversation_type = 'private'
           THEN COALESCE(delivered_at, CASE msg_id ${cases} END) ELSE delivered_at END,
         read_at = CASE msg_id ${cases} END
       WHERE msg_id IN (?) AND read_at IS NULL`,
      [...values, ...values, piece.map(([msgId]) => msgId)],
    );
  }
}

/** Ends the wait of messages that were read; returns `reader/message` of each that waited. */
async function settleInboxes(
  tx: Queryable,
  waiting: ReadonlyMap<string, readonly string[]>,
  now: number,
): Promise<Set<string>> {
  const settled = new Set<string>();
  for (const [userId, msgIds] of waiting) {
    // Read again under the lock: a delivery may have been faster.
    const still = await tx.select<{ msg_id: string }>(
      'SELECT msg_id FROM inbox WHERE user_id = ? AND msg_id IN (?) AND state = ?',
      [userId, msgIds, INBOX_STATE.pending],
    );
    if (still.length === 0) continue;
    await tx.execute(
      'UPDATE inbox SET state = ?, delivered_at = ? WHERE user_id = ? AND msg_id IN (?) AND state = ?',
      [INBOX_STATE.delivered, now, userId, still.map((row) => row.msg_id), INBOX_STATE.pending],
    );
    await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id = ?', [
      still.length,
      userId,
    ]);
    for (const row of still) settled.add(`${userId}/${row.msg_id}`);
  }
  return settled;
}
