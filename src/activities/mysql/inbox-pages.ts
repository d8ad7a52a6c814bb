/** A user's inbox as clients page through it: by position, so that every page costs the same. */
import { inSequenceOrder } from '../../domain/inbox';
import type { InboxItem } from '../../domain/inbox';
import { erasedName } from '../erased-name';
import type { Database } from './database';
import { notInRemoval } from './erased-messages';
import { READS_LOGS } from './group-unread';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';
import { INBOX_STATE } from './message-store';

export interface InboxCount {
  /** Messages that wait, are not past their time and not being deleted. */
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

/** A page, and what there is beside it. */
export interface InboxLook extends InboxPage, InboxCount {
  /** Logs of large groups may have messages for the user that are not in the inbox. */
  readonly readsLogs: boolean;
}

type PageRow = MessageRow & { position: number };
interface CountRow {
  /** `null` for a user who never had an inbox. */
  pending: number | null;
  overdue: number;
  inRemoval: number;
  readsLogs: number;
}

/** Really counted, because the head does not know; the user and now are the parameters. */
const OVERDUE = `(SELECT COUNT(*) FROM inbox FORCE INDEX (ix_inbox_expiry)
  WHERE user_id = ? AND state = ${INBOX_STATE.pending} AND expires_at <= ?)`;
/** Those of the others that are being deleted, mostly none; the user and now are the parameters. */
const IN_REMOVAL = `(SELECT COUNT(*) FROM erased_messages e
  JOIN inbox x FORCE INDEX (uk_inbox_message, ix_inbox_state) ON x.msg_id = e.msg_id
  WHERE e.in_removal = 1 AND x.user_id = ? AND x.state = ${INBOX_STATE.pending} AND x.expires_at > ?)`;
/** Columns of {@link CountRow}; {@link countValues} are the parameters. */
const COUNTS = `(SELECT pending FROM inbox_heads WHERE user_id = ?) AS pending,
  ${OVERDUE} AS overdue, ${IN_REMOVAL} AS inRemoval, ${READS_LOGS} AS readsLogs`;
/** The user, a position, and now are the parameters. */
const AFTER = `inbox i FORCE INDEX (ix_inbox_state) JOIN messages m ON m.msg_id = i.msg_id
  WHERE i.user_id = ? AND i.state = ${INBOX_STATE.pending} AND i.position > ? AND i.expires_at > ?`;
/** The limit is the parameter. */
const IN_ORDER = 'ORDER BY i.position LIMIT ?';

export class InboxPages {
  constructor(private readonly db: Database) {}

  /** Counts by the head of the inbox. */
  async count(userId: string, now: number): Promise<InboxCount> {
    return countOf((await this.counts(userId, now))[0]);
  }

  /**
   * {@link page} and {@link count} in one statement when there are messages: pages are asked for all the
   * time. Which are being deleted is asked row by row only of whom the count says that there are any.
   */
  async look(
    userId: string,
    afterPosition: number,
    limit: number,
    now: number,
  ): Promise<InboxLook> {
    const rows = await this.db.selectPrepared<PageRow & CountRow>(
      `SELECT STRAIGHT_JOIN ${COUNTS}, i.position, ${MESSAGE_COLUMNS} FROM ${AFTER} ${IN_ORDER}`,
      [...countValues(userId, now), ...[userId, afterPosition, now, limit + 1]],
    );
    const [counts] = rows.length > 0 ? rows : await this.counts(userId, now);
    const isWhole = (counts?.inRemoval ?? 0) === 0;
    const page = isWhole ? pageOf(rows, limit) : await this.page(userId, afterPosition, limit, now);
    return {
      ...page,
      ...countOf(counts),
      readsLogs: counts?.readsLogs === 1,
    };
  }

  private counts(userId: string, now: number): Promise<CountRow[]> {
    return this.db.selectPrepared(`SELECT ${COUNTS}`, countValues(userId, now));
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
    const rows = await this.db.selectPrepared<PageRow>(
      `SELECT STRAIGHT_JOIN i.position, ${MESSAGE_COLUMNS} FROM ${AFTER}
         AND ${notInRemoval('i.msg_id')} ${IN_ORDER}`,
      [userId, afterPosition, now, limit + 1],
    );
    return pageOf(rows, limit);
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
       WHERE i.user_id = ? AND i.state = ? AND i.expires_at > ? AND ${notInRemoval('i.msg_id')}
       ORDER BY i.expires_at ${order} LIMIT 1`,
      [userId, INBOX_STATE.pending, now],
    );
    return row?.timestamp;
  }
}

function countValues(userId: string, now: number): (string | number)[] {
  return [userId, userId, now, userId, now, userId];
}

function countOf(row: CountRow | undefined): InboxCount {
  const { pending, overdue, inRemoval } = { pending: 0, overdue: 0, inRemoval: 0, ...row };
  return { waiting: Math.max(0, (pending ?? 0) - overdue - inRemoval), overdue };
}

/** Of the rows of a page and the one after it. */
function pageOf(rows: readonly PageRow[], limit: number): InboxPage {
  const items = rows
    .slice(0, limit)
    .map((row) => ({ position: row.position, message: toMessage(row) }));
  return {
    items: inSequenceOrder(items),
    last: items.at(-1),
    hasMore: rows.length > limit,
  };
}
