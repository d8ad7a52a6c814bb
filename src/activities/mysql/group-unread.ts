/**
 * The messages of large groups that a user has yet to get, read from the groups' logs from the user's
 * positions on. What counts as unread: see group-readers.ts. An entry that the user has read, or that has
 * a row in their inbox, counts no more: so what is read or deleted out of order needs no list of its own.
 */
import { inSequenceOrder } from '../../domain/inbox';
import type { InboxItem, Stay } from '../../domain/inbox';
import { MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { APPEAR_OVERLAP_MS, notSettledFor } from './group-log';
import { ABSENT } from './group-readers';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';

/** An item of a log, with its place there. */
export interface LogItem extends InboxItem {
  readonly stay: Stay;
}

/** A stay in a group whose log goes on after the user's position. */
interface Range extends Stay {
  readonly userId: string;
  readonly leftAt: number | null;
  readonly position: number;
  readonly state: number;
  readonly presentSince: number;
}

/** Whether a user is a member of large groups, or was one; the user is the parameter. */
export const READS_LOGS = 'EXISTS (SELECT 1 FROM group_readers WHERE user_id = ?)';

export class GroupUnread {
  /** `ttlMs`: how long a message waits, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly options: { readonly ttlMs: number; readonly now: () => number },
  ) {}

  /** The first `limit` messages, group by group, each group's in sequence order. */
  async readPending(userId: string, limit: number, on: Queryable = this.db): Promise<LogItem[]> {
    const items: LogItem[] = [];
    for (const range of await this.ranges(userId, on)) {
      if (items.length >= limit) break;
      const found = await this.readRange(range, Math.min(limit - items.length, MAX_ROWS), on);
      items.push(...withSettledPositions(inSequenceOrder(found)));
    }
    return items;
  }

  /** How many messages there are. */
  async count(userId: string): Promise<number> {
    let count = 0;
    for (const range of await this.ranges(userId, this.db)) {
      const { where, values } = this.unread(range);
      const [row] = await this.db.select<{ n: number }>(
        `SELECT COUNT(*) AS n FROM group_log l WHERE ${where}`,
        values,
      );
      count += row?.n ?? 0;
    }
    return count;
  }

  /** The senders' times at the ends of each group's unread messages: the lowest and the highest of them. */
  async span(userId: string): Promise<{ oldest: number; newest: number } | undefined> {
    const times: number[] = [];
    for (const range of await this.ranges(userId, this.db)) {
      times.push(...(await this.timeAtEnd(range, 'ASC')), ...(await this.timeAtEnd(range, 'DESC')));
    }
    if (times.length === 0) return undefined;
    return { oldest: Math.min(...times), newest: Math.max(...times) };
  }

  /** Whether a message is in the logs of the user's groups and is for them, read or not. */
  async includes(userId: string, msgId: string): Promise<boolean> {
    const rows = await this.db.select(
      `SELECT 1 FROM group_log l
       JOIN group_memberships g ON g.group_id = l.group_id AND g.user_id = ?
       WHERE l.msg_id = ? AND l.accepted_at >= g.joined_at
         AND (g.left_at IS NULL OR l.accepted_at < g.left_at) LIMIT 1`,
      [userId, msgId],
    );
    return rows.length > 0;
  }

  private async timeAtEnd(range: Range, order: 'ASC' | 'DESC'): Promise<number[]> {
    const { where, values } = this.unread(range);
    const rows = await this.db.select<{ timestamp: number }>(
      `SELECT m.timestamp FROM group_log l JOIN messages m ON m.msg_id = l.msg_id
       WHERE ${where} ORDER BY l.position ${order} LIMIT 1`,
      values,
    );
    return rows.map((row) => row.timestamp);
  }

  /** In the order of the log. */
  private async readRange(range: Range, limit: number, on: Queryable): Promise<LogItem[]> {
    const { where, values } = this.unread(range);
    const rows = await on.select<MessageRow & { position: number }>(
      `SELECT l.position, ${MESSAGE_COLUMNS} FROM group_log l JOIN messages m ON m.msg_id = l.msg_id
       WHERE ${where} ORDER BY l.position LIMIT ?`,
      [...values, limit],
    );
    const stay = { groupId: range.groupId, joinedAt: range.joinedAt };
    return rows.map((row) => ({ position: row.position, stay, message: toMessage(row) }));
  }

  private async ranges(userId: string, on: Queryable): Promise<Range[]> {
    const ranges = await on.select<Range>(
      `SELECT g.user_id AS userId, g.group_id AS groupId, g.joined_at AS joinedAt,
         g.left_at AS leftAt, g.position, r.state, r.present_since AS presentSince
       FROM group_readers r
       JOIN group_memberships g ON g.user_id = r.user_id
       JOIN large_groups lg ON lg.group_id = g.group_id
       WHERE r.user_id = ? AND lg.last_position > g.position`,
      [userId],
    );
    return ranges.sort(compareStays);
  }

  private unread(range: Range): { where: string; values: (string | number)[] } {
    const { now, ttlMs } = this.options;
    const ends = [
      range.leftAt ?? Infinity,
      range.state === ABSENT ? Infinity : range.presentSince + APPEAR_OVERLAP_MS,
    ];
    return {
      where: `l.group_id = ? AND l.position > ? AND l.accepted_at >= ? AND l.accepted_at < ?
        AND l.sender_id <> ? AND ${notSettledFor('?')}`,
      values: [
        range.groupId,
        range.position,
        Math.max(range.joinedAt, now() - ttlMs),
        Math.min(...ends, Number.MAX_SAFE_INTEGER),
        range.userId,
        range.userId,
        range.userId,
      ],
    };
  }
}

function compareStays(a: Stay, b: Stay): number {
  if (a.groupId === b.groupId) return a.joinedAt - b.joinedAt;
  return a.groupId < b.groupId ? -1 : 1;
}

/**
 * The items with the position that is settled once each is delivered: all that lies before the first
 * one still to come, for sequence order may differ from the log's.
 */
function withSettledPositions(items: readonly LogItem[]): LogItem[] {
  let next = Infinity;
  const last = Math.max(...items.map(({ position }) => position));
  return items
    .toReversed()
    .map((item) => {
      const settled = next === Infinity ? last : next - 1;
      next = Math.min(next, item.position);
      return { position: settled, stay: item.stay, message: item.message };
    })
    .toReversed();
}
