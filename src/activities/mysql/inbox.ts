/** The messages that wait for a user: read in order, marked when delivered, expired when too old. */
import { inSequenceOrder } from '../../domain/inbox';
import type { Delivery, InboxItem, Stay } from '../../domain/inbox';
import { chunks, MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { notInRemoval } from './erased-messages';
import { MESSAGE_COLUMNS, noteDeliveries, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';
import { INBOX_STATE } from './message-store';

/** A user with pending messages. */
export interface PendingUser {
  readonly userId: string;
  readonly pending: number;
}

/** That the message at a position of the inbox, or of a log, reached these devices. */
export interface InboxDelivery extends Delivery {
  readonly position: number;
  readonly stay?: Stay;
}

export class Inbox {
  constructor(private readonly db: Database) {}

  /**
   * The first `limit` pending messages, each conversation's in sequence order; none past its time, though
   * nobody may have put it aside yet, and none that is being deleted.
   */
  async readPending(userId: string, limit: number, now: number): Promise<InboxItem[]> {
    const rows = await this.db.select<MessageRow & { position: number }>(
      `SELECT STRAIGHT_JOIN i.position, ${MESSAGE_COLUMNS}
       FROM inbox i FORCE INDEX (ix_inbox_state) JOIN messages m ON m.msg_id = i.msg_id
       WHERE i.user_id = ? AND i.state = ? AND i.expires_at > ? AND ${notInRemoval('i.msg_id')}
       ORDER BY i.position LIMIT ?`,
      [userId, INBOX_STATE.pending, now, Math.min(limit, MAX_ROWS)],
    );
    return inSequenceOrder(
      rows.map((row) => ({ position: row.position, message: toMessage(row) })),
    );
  }

  /**
   * Marks messages of one user as delivered; those that no longer wait are left as they are. Returns
   * how many changed. Also notes time and devices with the (private) messages.
   */
  async markDelivered(userId: string, items: readonly InboxDelivery[]): Promise<number> {
    if (items.length === 0) return 0;
    return this.db.transaction(async (tx) => {
      // Locks the user's head, and is right unless something was marked before.
      await lowerPending(tx, userId, items.length);
      let changed = 0;
      for (const piece of chunks(items)) {
        const times = piece.map(() => 'WHEN ? THEN ?').join(' ');
        const result = await tx.execute(
          `UPDATE inbox SET state = ?, delivered_at = CASE position ${times} END
           WHERE user_id = ? AND state = ? AND position IN (?)`,
          [
            INBOX_STATE.delivered,
            ...piece.flatMap((item) => [item.position, item.deliveredAt]),
            userId,
            INBOX_STATE.pending,
            piece.map((item) => item.position),
          ],
        );
        changed += result.affectedRows;
      }
      if (changed < items.length) await lowerPending(tx, userId, changed - items.length);
      await noteDeliveries(tx, items);
      return changed;
    });
  }

  /** Those of the deliveries whose messages wait in rows, with the positions of these. */
  async stillPending(userId: string, deliveries: readonly Delivery[]): Promise<InboxDelivery[]> {
    const found: InboxDelivery[] = [];
    for (const piece of chunks(deliveries)) {
      const rows = await this.db.select<{ position: number; msgId: string }>(
        `SELECT position, msg_id AS msgId FROM inbox
         WHERE user_id = ? AND msg_id IN (?) AND state = ?`,
        [userId, piece.map(({ msgId }) => msgId), INBOX_STATE.pending],
      );
      for (const { msgId, deliveredAt, devices } of piece) {
        const row = rows.find((each) => each.msgId === msgId);
        if (row) found.push({ position: row.position, msgId, deliveredAt, devices });
      }
    }
    return found;
  }

  /** Ends the wait of messages past their time, at most a few hundred a call; returns how many. */
  async expire(userId: string, now: number): Promise<number> {
    const [overdue] = await this.db.select(
      'SELECT 1 FROM inbox WHERE user_id = ? AND state = ? AND expires_at <= ? LIMIT 1',
      [userId, INBOX_STATE.pending, now],
    );
    // Mostly there is none, and nothing to lock.
    if (!overdue) return 0;
    return this.db.transaction(async (tx) => {
      await lockHead(tx, userId);
      const result = await tx.execute(
        `UPDATE inbox SET state = ? WHERE user_id = ? AND state = ? AND expires_at <= ?
         ORDER BY expires_at LIMIT ${MAX_ROWS}`,
        [INBOX_STATE.expired, userId, INBOX_STATE.pending, now],
      );
      if (result.affectedRows === 0) return 0;
      await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id = ?', [
        result.affectedRows,
        userId,
      ]);
      return result.affectedRows;
    });
  }

  /** Those of the users for whom something waits. */
  async hasPending(userIds: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const piece of chunks(userIds)) {
      const rows = await this.db.select<{ user_id: string }>(
        'SELECT user_id FROM inbox_heads WHERE user_id IN (?) AND pending > 0',
        [piece],
      );
      found.push(...rows.map((row) => row.user_id));
    }
    return found;
  }

  /** How many messages wait for the user. */
  async pendingCount(userId: string): Promise<number> {
    const [row] = await this.db.select<{ pending: number }>(
      'SELECT pending FROM inbox_heads WHERE user_id = ?',
      [userId],
    );
    return row?.pending ?? 0;
  }

  /**
   * Users with pending messages whose delivery has not visibly failed at or after `failedBefore`, in
   * the order of their ids, after `afterUserId` ('' from the start).
   */
  async sweepPage(
    afterUserId: string,
    failedBefore: number,
    limit: number,
  ): Promise<PendingUser[]> {
    return this.db.select<PendingUser>(
      `SELECT user_id AS userId, pending FROM inbox_heads
       WHERE has_pending = 1 AND user_id > ? AND (failed_at IS NULL OR failed_at < ?)
       ORDER BY user_id LIMIT ?`,
      [afterUserId, failedBefore, Math.min(limit, MAX_ROWS)],
    );
  }

  /** Notes that a delivery failed visibly, so that the sweep leaves the user alone for a while. */
  async recordFailure(userId: string, at: number): Promise<void> {
    await this.db.execute('UPDATE inbox_heads SET failed_at = ? WHERE user_id = ?', [at, userId]);
  }
}

/** A delivery also ends what was noted of a visible failure. A negative `count` raises. */
async function lowerPending(tx: Queryable, userId: string, count: number): Promise<void> {
  await tx.execute(
    'UPDATE inbox_heads SET pending = pending - ?, failed_at = NULL WHERE user_id = ?',
    [count, userId],
  );
}

/** Every change of a user's rows happens under the lock of the user's head, so that `pending` is exact. */
async function lockHead(tx: Queryable, userId: string): Promise<void> {
  await tx.select('SELECT user_id FROM inbox_heads WHERE user_id = ? FOR UPDATE', [userId]);
}
