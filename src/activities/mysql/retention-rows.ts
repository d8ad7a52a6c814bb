/**
 * Rows past their time, in the order of their time, and their removal. A page is read without locks
 * and removed by keys: nobody waits for retention.
 */
import type { HoldPlace } from '../../domain/holds';
import type { ConversationType } from '../../domain/ids';
import type { AgePlace } from '../../domain/retention';
import { chunks } from './chunks';
import type { Database, Queryable } from './database';
import { INBOX_STATE } from './message-store';
import { clear } from './some-rows';

/** Statements of one call, some seconds, after which the legal holds are looked at anew. */
const CLEAR_STATEMENTS = 600;

/** A row with the time by which it is old, unix ms. */
export interface AgedRow {
  readonly time: number;
  /** Of the message it is about; `undefined` when that is gone. */
  readonly place: HoldPlace | undefined;
}

export interface AgedInboxRow extends AgedRow {
  readonly userId: string;
  readonly position: number;
  readonly waits: boolean;
}

export interface AgedMessage extends AgedRow {
  readonly id: number;
  readonly msgId: string;
  /** It has a row in an inbox that still counts as waiting. */
  readonly waits: boolean;
}

export interface AgedReceipt extends AgedRow {
  readonly id: number;
  readonly readerId: string;
  /** Without it the message, which is there, would count as unread again. */
  readonly needed: boolean;
}

export interface AgedSummary extends AgedRow {
  readonly msgId: string;
}

interface PlaceColumns {
  readonly senderId: string | null;
  readonly type: ConversationType;
  readonly key: string;
}

const PLACE = 'm.sender_id AS senderId, m.conversation_type AS type, m.conversation_key AS `key`';

export class RetentionRows {
  constructor(private readonly db: Database) {}

  /** Rows of inboxes whose messages' time ended by `until`. */
  async inbox(from: AgePlace, until: number, limit: number): Promise<AgedInboxRow[]> {
    const rows = await this.db.select<
      PlaceColumns & { time: number; userId: string; position: number; state: number }
    >(
      `SELECT i.expires_at AS time, i.user_id AS userId, i.position, i.state, ${PLACE}
       FROM (SELECT expires_at, user_id, position, state, msg_id
             FROM inbox FORCE INDEX (ix_inbox_age) WHERE expires_at >= ? AND expires_at <= ?
             ORDER BY expires_at, user_id, position LIMIT ? OFFSET ?) i
       LEFT JOIN messages m ON m.msg_id = i.msg_id
       ORDER BY i.expires_at, i.user_id, i.position`,
      [from.time, until, limit, from.skip],
    );
    return rows.map((row) => ({
      ...row,
      waits: row.state === INBOX_STATE.pending,
      place: placeOf(row),
    }));
  }

  async removeInbox(rows: readonly AgedInboxRow[]): Promise<number> {
    const positions = new Map<string, number[]>();
    for (const { userId, position } of rows) {
      positions.set(userId, [...(positions.get(userId) ?? []), position]);
    }
    return this.db.transaction(async (tx) => {
      let removed = 0;
      for (const [userId, piece] of positions) {
        const result = await tx.execute(
          'DELETE FROM inbox WHERE user_id = ? AND position IN (?) AND state <> ?',
          [userId, piece, INBOX_STATE.pending],
        );
        removed += result.affectedRows;
      }
      return removed;
    });
  }

  /** Messages that we took by `until`. */
  async messages(from: AgePlace, until: number, limit: number): Promise<AgedMessage[]> {
    const rows = await this.db.select<
      PlaceColumns & { time: number; id: number; msgId: string; waits: number }
    >(
      `SELECT m.created_at AS time, m.id, m.msg_id AS msgId, ${PLACE},
         EXISTS (SELECT 1 FROM inbox i WHERE i.msg_id = m.msg_id AND i.state = ?) AS waits
       FROM messages m FORCE INDEX (ix_messages_age)
       WHERE m.created_at >= ? AND m.created_at <= ?
       ORDER BY m.created_at, m.id LIMIT ? OFFSET ?`,
      [INBOX_STATE.pending, from.time, until, limit, from.skip],
    );
    return rows.map((row) => ({ ...row, waits: row.waits === 1, place: placeOf(row) }));
  }

  /**
   * Removes what others have of messages, receipts above all, for a while; false as long as there is
   * more of it than {@link removeMessages} does in its transaction.
   */
  async clearMessages(rows: readonly AgedMessage[]): Promise<boolean> {
    const msgIds = rows.map(({ msgId }) => msgId);
    return (
      (await clear(this.db, 'read_receipts', msgIds, CLEAR_STATEMENTS)) &&
      (await clear(this.db, 'hidden_messages', msgIds, CLEAR_STATEMENTS))
    );
  }

  /** Removes messages with their receipts, once they are cleared: only what came since is left. */
  async removeMessages(rows: readonly AgedMessage[]): Promise<number> {
    if (rows.length === 0) return 0;
    return this.db.transaction(async (tx) => {
      const msgIds = rows.map(({ msgId }) => msgId);
      await tx.execute('DELETE FROM read_receipts WHERE msg_id IN (?)', [msgIds]);
      await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [msgIds]);
      await tx.execute('DELETE FROM hidden_messages WHERE msg_id IN (?)', [msgIds]);
      return remove(
        tx,
        'messages',
        'id',
        rows.map(({ id }) => id),
      );
    });
  }

  /** Receipts that were written by `until` and that their senders have heard of. */
  async receipts(from: AgePlace, until: number, limit: number): Promise<AgedReceipt[]> {
    const rows = await this.db.select<
      PlaceColumns & { time: number; id: number; readerId: string; needed: number }
    >(
      `SELECT r.recorded_at AS time, r.id, r.reader_id AS readerId, r.sender_id AS senderId,
         r.conversation_type AS type, r.conversation_key AS \`key\`,
         r.published_at IS NULL OR (r.conversation_type = 'group' AND EXISTS (
           SELECT 1 FROM messages m WHERE m.msg_id = r.msg_id AND m.sequence_number > COALESCE(
             (SELECT g.up_to_sequence FROM group_reads g
              WHERE g.user_id = r.reader_id AND g.group_id = r.conversation_key), 0))) AS needed
       FROM read_receipts r FORCE INDEX (ix_read_receipts_age)
       WHERE r.recorded_at >= ? AND r.recorded_at <= ?
       ORDER BY r.recorded_at, r.id LIMIT ? OFFSET ?`,
      [from.time, until, limit, from.skip],
    );
    return rows.map((row) => ({ ...row, needed: row.needed === 1, place: placeOf(row) }));
  }

  async removeReceipts(rows: readonly AgedReceipt[]): Promise<number> {
    return remove(
      this.db,
      'read_receipts',
      'id',
      rows.map(({ id }) => id),
    );
  }

  /** What receipts came to, where the last of them was read by `until`. */
  async summaries(from: AgePlace, until: number, limit: number): Promise<AgedSummary[]> {
    const rows = await this.db.select<PlaceColumns & { time: number; msgId: string }>(
      `SELECT s.last_read_at AS time, s.msg_id AS msgId, ${PLACE}
       FROM (SELECT last_read_at, msg_id FROM read_summaries FORCE INDEX (ix_read_summaries_age)
             WHERE last_read_at >= ? AND last_read_at <= ?
             ORDER BY last_read_at, msg_id LIMIT ? OFFSET ?) s
       LEFT JOIN messages m ON m.msg_id = s.msg_id ORDER BY s.last_read_at, s.msg_id`,
      [from.time, until, limit, from.skip],
    );
    return rows.map((row) => ({ ...row, place: placeOf(row) }));
  }

  async removeSummaries(rows: readonly AgedSummary[], until: number): Promise<number> {
    let removed = 0;
    for (const piece of chunks(rows)) {
      const result = await this.db.execute(
        'DELETE FROM read_summaries WHERE msg_id IN (?) AND last_read_at <= ?',
        [piece.map(({ msgId }) => msgId), until],
      );
      removed += result.affectedRows;
    }
    return removed;
  }

  /** Confirmations that nobody gave in time. */
  async removeConfirmations(until: number, limit: number): Promise<number> {
    const result = await this.db.execute(
      'DELETE FROM erasure_confirmations WHERE expires_at <= ? ORDER BY expires_at LIMIT ?',
      [until, limit],
    );
    return result.affectedRows;
  }

  /** Requests about personal data that ended by `until`. */
  async removeJobs(until: number, limit: number): Promise<number> {
    const result = await this.db.execute(
      'DELETE FROM gdpr_jobs WHERE finished_at <= ? ORDER BY finished_at LIMIT ?',
      [until, limit],
    );
    return result.affectedRows;
  }

  /** Those of the users for whom something waits past its time. */
  async overdueAmong(userIds: readonly string[], now: number): Promise<string[]> {
    const found: string[] = [];
    for (const piece of chunks(userIds)) {
      const rows = await this.db.select<{ user_id: string }>(
        `SELECT DISTINCT user_id FROM inbox FORCE INDEX (ix_inbox_expiry)
         WHERE user_id IN (?) AND state = ? AND expires_at <= ?`,
        [piece, INBOX_STATE.pending, now],
      );
      found.push(...rows.map((row) => row.user_id));
    }
    return found;
  }
}

function placeOf({ senderId, type, key }: PlaceColumns): HoldPlace | undefined {
  return senderId === null ? undefined : { senderId, conversation: { type, key } };
}

async function remove(
  on: Queryable,
  table: 'messages' | 'read_receipts',
  column: 'id',
  ids: readonly number[],
): Promise<number> {
  let removed = 0;
  for (const piece of chunks(ids)) {
    const result = await on.execute(`DELETE FROM ${table} WHERE ${column} IN (?)`, [piece]);
    removed += result.affectedRows;
  }
  return removed;
}
