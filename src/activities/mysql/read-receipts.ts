/** Receipts in MySQL. The first time of each reader and device is kept; writing again changes nothing. */
import type { Receipt } from '../../domain/receipts';
import { Coalescer } from '../coalescer';
import { chunks } from './chunks';
import type { Database, Queryable } from './database';
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
      const waiting = await pendingRows(tx, sorted);
      // Heads before everything else, as wherever inboxes are changed.
      await lockHeads(tx, waiting);
      await insert(tx, sorted, this.now());
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

/** A message that waits for its reader. */
type Waiting = Pick<Receipt, 'readerId' | 'msgId'>;

/** No id contains `/`. */
function nameOf(receipt: Receipt): string {
  return `${receipt.msgId}/${receipt.readerId}/${receipt.deviceId}`;
}

async function pendingRows(tx: Queryable, among: readonly Waiting[]): Promise<Waiting[]> {
  const pending: Waiting[] = [];
  for (const piece of chunks(among)) {
    pending.push(
      ...(await tx.select<Waiting>(
        `SELECT user_id AS readerId, msg_id AS msgId FROM inbox FORCE INDEX (uk_inbox_message)
         WHERE (msg_id, user_id) IN (?) AND state = ?`,
        [piece.map(({ readerId, msgId }) => [msgId, readerId]), INBOX_STATE.pending],
      )),
    );
  }
  return pending;
}

async function lockHeads(tx: Queryable, waiting: readonly Waiting[]): Promise<void> {
  if (waiting.length === 0) return;
  const userIds = [...new Set(waiting.map(({ readerId }) => readerId))];
  await tx.select(
    'SELECT user_id FROM inbox_heads WHERE user_id IN (?) ORDER BY user_id FOR UPDATE',
    [userIds],
  );
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

/**
 * The times that count. Those of messages that are erased, and of senders who are, are taken out again:
 * looked for after the insert, whose locks a deletion waits for.
 */
async function firstTimes(
  tx: Queryable,
  receipts: readonly Receipt[],
): Promise<Map<string, number>> {
  const times = new Map<string, number>();
  for (const piece of chunks(receipts)) {
    const rows = await tx.select<Receipt & { id: number; erased: number }>(
      `SELECT r.id, r.msg_id AS msgId, r.reader_id AS readerId, r.device_id AS deviceId,
         r.read_at AS readAt, e.msg_id IS NOT NULL OR u.user_id IS NOT NULL AS erased
       FROM read_receipts r
       LEFT JOIN erased_messages e ON e.msg_id = r.msg_id
       LEFT JOIN erased_users u ON u.user_id = r.sender_id
       WHERE (r.msg_id, r.reader_id, r.device_id) IN (?)`,
      [piece.map((receipt) => [receipt.msgId, receipt.readerId, receipt.deviceId])],
    );
    for (const row of rows) times.set(nameOf(row), row.readAt);
    const erased = rows.filter((row) => row.erased === 1).map((row) => row.id);
    // Those alone: what others gave may be too much for this transaction, and is the deletion's.
    if (erased.length > 0) await tx.execute('DELETE FROM read_receipts WHERE id IN (?)', [erased]);
  }
  return times;
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
  waiting: readonly Waiting[],
  now: number,
): Promise<Set<string>> {
  // Read again under the lock: a delivery may have been faster.
  const still = waiting.length > 0 ? await pendingRows(tx, waiting) : [];
  for (const piece of chunks(still)) {
    await tx.execute(
      `UPDATE inbox FORCE INDEX (uk_inbox_message) SET state = ?, delivered_at = ?
       WHERE (msg_id, user_id) IN (?) AND state = ?`,
      [
        INBOX_STATE.delivered,
        now,
        piece.map(({ readerId, msgId }) => [msgId, readerId]),
        INBOX_STATE.pending,
      ],
    );
  }
  for (const [count, userIds] of usersByCount(still)) {
    await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id IN (?)', [
      count,
      userIds,
    ]);
  }
  return new Set(still.map(({ readerId, msgId }) => `${readerId}/${msgId}`));
}

/** Readers by how many of their messages wait no more: one statement for all that have the same. */
function usersByCount(settled: readonly Waiting[]): Map<number, string[]> {
  const counts = new Map<string, number>();
  for (const { readerId } of settled) counts.set(readerId, (counts.get(readerId) ?? 0) + 1);
  const users = new Map<number, string[]>();
  for (const [userId, count] of counts) {
    users.set(count, [...(users.get(count) ?? []), userId]);
  }
  return users;
}
