/**
 * The messages of large groups that a user has yet to get, read from the groups' logs: for delivery from
 * the user's positions on, for clients in pages. What counts as unread: see group-readers.ts.
 */
import { inSequenceOrder } from '../../domain/inbox';
import type { InboxItem, Stay } from '../../domain/inbox';
import { MAX_ROWS } from './chunks';
import type { Database } from './database';
import { APPEAR_OVERLAP_MS } from './group-log';
import { ABSENT } from './group-readers';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';

/** A place in the logs of a user's groups, which are in the order of their stays. */
export interface LogPlace extends Stay {
  readonly position: number;
}

export interface LogPage {
  /** Each conversation's messages in sequence order. */
  readonly items: readonly InboxItem[];
  /** The message at the last place, after which the next page begins. */
  readonly last: InboxItem | undefined;
  readonly hasMore: boolean;
}

/** A stay in a group whose log goes on after the user's position. */
interface Range extends LogPlace {
  readonly userId: string;
  readonly leftAt: number | null;
  readonly state: number;
  readonly presentSince: number;
}

export class GroupUnread {
  /** `ttlMs`: how long a message waits, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly options: { readonly ttlMs: number; readonly now: () => number },
  ) {}

  /** The first `limit` messages, group by group, each group's in sequence order. */
  async readPending(userId: string, limit: number): Promise<InboxItem[]> {
    const items: InboxItem[] = [];
    for (const range of await this.ranges(userId)) {
      if (items.length >= limit) break;
      const found = await this.readRange(range, Math.min(limit - items.length, MAX_ROWS));
      items.push(...withSettledPositions(inSequenceOrder(found)));
    }
    return items;
  }

  /** How many messages there are. */
  async count(userId: string): Promise<number> {
    let count = 0;
    for (const range of await this.ranges(userId)) {
      const { where, values } = this.unread(range);
      const [row] = await this.db.select<{ n: number }>(
        `SELECT COUNT(*) AS n FROM group_log l WHERE ${where}`,
        values,
      );
      count += row?.n ?? 0;
    }
    return count;
  }

  /** The senders' times of the oldest and the newest message; zeros when there is none. */
  async span(userId: string): Promise<{ oldest: number; newest: number }> {
    let [oldest, newest] = [Infinity, 0];
    for (const range of await this.ranges(userId)) {
      const { where, values } = this.unread(range);
      const [row] = await this.db.select<{ oldest: number | null; newest: number | null }>(
        `SELECT MIN(m.timestamp) AS oldest, MAX(m.timestamp) AS newest
         FROM group_log l JOIN messages m ON m.msg_id = l.msg_id WHERE ${where}`,
        values,
      );
      oldest = Math.min(oldest, row?.oldest ?? Infinity);
      newest = Math.max(newest, row?.newest ?? 0);
    }
    return { oldest: oldest === Infinity ? 0 : oldest, newest };
  }

  /** Where a message is in the logs of the user's groups, read or not; `undefined`: in none of them. */
  async placeOf(userId: string, msgId: string): Promise<LogPlace | undefined> {
    const [place] = await this.db.select<LogPlace>(
      `SELECT l.group_id AS groupId, g.joined_at AS joinedAt, l.position
       FROM group_log l JOIN group_memberships g ON g.group_id = l.group_id AND g.user_id = ?
       WHERE l.msg_id = ? AND l.accepted_at >= g.joined_at
         AND (g.left_at IS NULL OR l.accepted_at < g.left_at) LIMIT 1`,
      [userId, msgId],
    );
    return place;
  }

  /** The first `limit` messages after a place; from the start without one. */
  async page(userId: string, after: LogPlace | undefined, limit: number): Promise<LogPage> {
    const found: InboxItem[] = [];
    for (const range of await this.ranges(userId)) {
      if (found.length > limit) break;
      if (after && compareStays(range, after) < 0) continue;
      const isPlace = after !== undefined && compareStays(range, after) === 0;
      const position = Math.max(range.position, isPlace ? after.position : 0);
      found.push(...(await this.readRange({ ...range, position }, limit + 1 - found.length)));
    }
    const items = found.slice(0, limit);
    return {
      items: inSequenceOrder(items),
      last: items.at(-1),
      hasMore: found.length > limit,
    };
  }

  /** In the order of the log. */
  private async readRange(range: Range, limit: number): Promise<InboxItem[]> {
    const { where, values } = this.unread(range);
    const rows = await this.db.select<MessageRow & { position: number }>(
      `SELECT l.position, ${MESSAGE_COLUMNS} FROM group_log l JOIN messages m ON m.msg_id = l.msg_id
       WHERE ${where} ORDER BY l.position LIMIT ?`,
      [...values, limit],
    );
    const stay = { groupId: range.groupId, joinedAt: range.joinedAt };
    return rows.map((row) => ({ position: row.position, stay, message: toMessage(row) }));
  }

  private async ranges(userId: string): Promise<Range[]> {
    const ranges = await this.db.select<Range>(
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
        AND l.sender_id <> ?`,
      values: [
        range.groupId,
        range.position,
        Math.max(range.joinedAt, now() - ttlMs),
        Math.min(...ends, Number.MAX_SAFE_INTEGER),
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
function withSettledPositions(items: readonly InboxItem[]): InboxItem[] {
  let next = Infinity;
  const last = Math.max(...items.map(({ position }) => position));
  return items
    .toReversed()
    .map((item) => {
      const settled = next === Infinity ? last : next - 1;
      next = Math.min(next, item.position);
      return { ...item, position: settled };
    })
    .toReversed();
}
