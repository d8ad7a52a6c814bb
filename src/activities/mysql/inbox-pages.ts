/** A user's inbox as clients page through it: by position, so that every page costs the same. */
import { inSequenceOrder } from '../../domain/inbox';
import type { InboxItem } from '../../domain/inbox';
import { erasedName } from '../erased-name';
import type { Database } from './database';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';
import { INBOX_STATE } from './message-store';

export interface InboxCount {
  /** Messages that wait and are not past their time. */
  readonly waiting: number;
  /** Messages past their time that nobody has put aside yet. */
  readonly overdue: number;
}

export interface InboxPage {
  /** Each conversation's messages in sequence order. */
  readonly items: readonly InboxItem[];
  /** The message at the last position, after which the next page begins. */
  readonly last: InboxItem | undefined;
  readonly hasMore: boolean;
}

export class InboxPages {
  constructor(private readonly db: Database) {}

  /** Counts by the head of the inbox; only what is overdue is really counted. */
  async count(userId: string, now: number): Promise<InboxCount> {
    const [row] = await this.db.select<{ pending: number; overdue: number }>(
      `SELECT h.pending, (
         SELECT COUNT(*) FROM inbox FORCE INDEX (ix_inbox_expiry)
         WHERE user_id = ? AND state = ? AND expires_at <= ?) AS overdue
       FROM inbox_heads h WHERE h.user_id = ?`,
      [userId, INBOX_STATE.pending, now, userId],
    );
    if (!row) return { waiting: 0, overdue: 0 };
    return { waiting: Math.max(0, row.pending - row.overdue), overdue: row.overdue };
  }

  /** The place of a message in the inbox, whatever has become of it since; `undefined`: never there. */
  async positionOf(userId: string, msgId: string): Promise<number | undefined> {
    const [row] = await this.db.select<{ position: number }>(
      'SELECT position FROM inbox WHERE user_id = ? AND msg_id IN (?)',
      [userId, [msgId, erasedName(msgId)]],
    );
    return row?.position;
  }

  /** The first `limit` waiting messages after a position. */
  async page(
    userId: string,
    afterPosition: number,
    limit: number,
    now: number,
  ): Promise<InboxPage> {
    const rows = await this.db.select<MessageRow & { position: number }>(
      `SELECT STRAIGHT_JOIN i.position, ${MESSAGE_COLUMNS}
       FROM inbox i FORCE INDEX (ix_inbox_state) JOIN messages m ON m.msg_id = i.msg_id
       WHERE i.user_id = ? AND i.state = ? AND i.position > ? AND i.expires_at > ?
       ORDER BY i.position LIMIT ?`,
      [userId, INBOX_STATE.pending, afterPosition, now, limit + 1],
    );
    const items = rows
      .slice(0, limit)
      .map((row) => ({ position: row.position, message: toMessage(row) }));
    return {
      items: inSequenceOrder(items),
      last: items.at(-1),
      hasMore: rows.length > limit,
    };
  }

  /** The senders' times of the longest and of the shortest waiting message; `undefined` when nothing waits. */
  async span(userId: string, now: number): Promise<{ oldest: number; newest: number } | undefined> {
    const [first, last] = await Promise.all([
      this.timeAtEnd(userId, 'ASC', now),
      this.timeAtEnd(userId, 'DESC', now),
    ]);
    if (first === undefined || last === undefined) return undefined;
    // Senders' clocks need not agree with ours.
    return { oldest: Math.min(first, last), newest: Math.max(first, last) };
  }

  private async timeAtEnd(
    userId: string,
    order: 'ASC' | 'DESC',
    now: number,
  ): Promise<number | undefined> {
    const [row] = await this.db.select<{ timestamp: number }>(
      `SELECT STRAIGHT_JOIN m.timestamp
       FROM inbox i FORCE INDEX (ix_inbox_expiry) JOIN messages m ON m.msg_id = i.msg_id
       WHERE i.user_id = ? AND i.state = ? AND i.expires_at > ?
       ORDER BY i.expires_at ${order} LIMIT 1`,
      [userId, INBOX_STATE.pending, now],
    );
    return row?.timestamp;
  }
}
