/**
 * What a member of large groups has yet to get, without a write for each member and message.
 *
 * While a user is present the gateways push what is sent, and nothing is written for them. Written are
 * two moments. When their last device goes, their position in each of their groups is set to where the
 * log was a little before ({@link VANISH_OVERLAP_MS}): all after it is unread. When they appear, the
 * time is noted: unread is then what lies after the position and was accepted before that time (and a
 * little after, APPEAR_OVERLAP_MS); what is accepted later the gateways push. `state` says whether some
 * of that is yet to be delivered; a message stored late, for someone who has appeared since it was
 * accepted, sets it again (group-log.ts).
 *
 * So a message costs the same for 3,000 members as for 100,000, a disconnect costs a few rows of that
 * user's, and nothing that was sent while a user was away is lost: positions pass only what was
 * delivered, or was accepted while the registry had the user. What is uncertain (the overlaps, a
 * disconnect nobody saw, which the sweep finds and dates back) is delivered again: clients tell by
 * `msg_id`. What is unread is read in group-unread.ts.
 */
import type { Stay } from '../../domain/inbox';
import { chunks, MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { APPEAR_OVERLAP_MS, notSettledFor } from './group-log';

/**
 * How long before a device is seen to go a gateway's pushes to it may have been in vain, ms: the
 * gateway's lag behind Kafka, and ours behind the registry.
 */
export const VANISH_OVERLAP_MS = 1_000;

/** States of a reader, as the migration documents them. */
export const ABSENT = 0;
const BEHIND = 1;
const SETTLED = 2;

/** A reader whom the registry is believed to have. */
export interface PresentReader {
  readonly userId: string;
  /** Something is yet to be delivered. */
  readonly isBehind: boolean;
  /** unix ms */
  readonly presentSince: number;
  readonly failedAt: number | null;
}

export class GroupReaders {
  /** `ttlMs`: how long a message waits, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly options: { readonly ttlMs: number; readonly now: () => number },
  ) {}

  /** Users have appeared: what is accepted from now on the gateways push. Returns those it changed. */
  async appear(userIds: readonly string[], at: number): Promise<string[]> {
    const changed: string[] = [];
    for (const piece of chunks(userIds)) {
      const rows = await this.db.select<{ user_id: string }>(
        `SELECT user_id FROM group_readers WHERE user_id IN (?) AND state = ${ABSENT}`,
        [piece],
      );
      if (rows.length === 0) continue;
      const found = rows.map((row) => row.user_id).sort();
      await this.db.execute(
        `UPDATE group_readers SET state = ${BEHIND}, present_since = ?
         WHERE user_id IN (?) AND state = ${ABSENT}`,
        [at, found],
      );
      changed.push(...found);
    }
    return changed;
  }

  /** Those of the users who are believed to be present. */
  async presentAmong(userIds: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const piece of chunks(userIds)) {
      const rows = await this.db.select<{ user_id: string }>(
        `SELECT user_id FROM group_readers WHERE user_id IN (?) AND state > ${ABSENT}`,
        [piece],
      );
      found.push(...rows.map((row) => row.user_id));
    }
    return found;
  }

  /** A user's last device went at that time, unix ms. */
  async vanish(userId: string, at: number): Promise<void> {
    await this.db.transaction(async (tx) => {
      const [reader] = await tx.select<{ state: number }>(
        'SELECT state FROM group_readers WHERE user_id = ? FOR UPDATE',
        [userId],
      );
      if (!reader || reader.state === ABSENT) return;
      // Of who is behind the positions stay: what the gateways pushed meanwhile may come again.
      if (reader.state === SETTLED) await settleUntil(tx, userId, at - VANISH_OVERLAP_MS);
      await tx.execute(
        `UPDATE group_readers SET state = ${ABSENT}, present_since = 0 WHERE user_id = ?`,
        [userId],
      );
    });
  }

  /**
   * Notes of present users that they have everything; returns those who have not.
   * Locked before the logs are read: whoever appends meanwhile waits, or is seen.
   */
  async settle(userIds: readonly string[]): Promise<string[]> {
    const behind: string[] = [];
    for (const piece of chunks(userIds)) {
      const unsettled = `SELECT user_id FROM group_readers WHERE user_id IN (?) AND state = ${BEHIND}`;
      // Most users are in no large group, and nothing is to be locked.
      if ((await this.db.select(`${unsettled} LIMIT 1`, [piece])).length === 0) continue;
      await this.db.transaction(async (tx) => {
        const rows = await tx.select<{ user_id: string }>(
          `${unsettled} ORDER BY user_id FOR UPDATE`,
          [piece],
        );
        if (rows.length === 0) return;
        const users = rows.map((row) => row.user_id);
        const unread = new Set(await this.usersWithUnread(tx, users));
        behind.push(...unread);
        const settled = users.filter((userId) => !unread.has(userId));
        if (settled.length === 0) return;
        await tx.execute(
          `UPDATE group_readers SET state = ${SETTLED}, failed_at = NULL WHERE user_id IN (?)`,
          [settled],
        );
      });
    }
    return behind;
  }

  /** Moves positions over what was delivered; returns how many items it was. */
  async markDelivered(
    userId: string,
    items: readonly { readonly position: number; readonly stay: Stay }[],
  ): Promise<number> {
    // The last item of each stay has the highest position.
    const last = new Map(items.map((item) => [`${item.stay.groupId}/${item.stay.joinedAt}`, item]));
    for (const { stay, position } of last.values()) {
      await raisePosition(this.db, userId, stay, position);
    }
    return items.length;
  }

  /** Readers believed to be present, in the order of their ids, after `afterUserId`. */
  async presentPage(afterUserId: string, limit: number): Promise<PresentReader[]> {
    const rows = await this.db.select<{
      userId: string;
      state: number;
      presentSince: number;
      failedAt: number | null;
    }>(
      `SELECT user_id AS userId, state, present_since AS presentSince, failed_at AS failedAt
       FROM group_readers WHERE state > ${ABSENT} AND user_id > ? ORDER BY user_id LIMIT ?`,
      [afterUserId, Math.min(limit, MAX_ROWS)],
    );
    return rows.map(({ state, ...reader }) => ({ ...reader, isBehind: state === BEHIND }));
  }

  /** Notes that a delivery failed visibly, so that the sweep leaves the user alone for a while. */
  async recordFailure(userId: string, at: number): Promise<void> {
    await this.db.execute('UPDATE group_readers SET failed_at = ? WHERE user_id = ?', [at, userId]);
  }

  /** When the last complete comparison with the registry began, unix ms; 0 before the first. */
  async lastCheck(): Promise<number> {
    const [row] = await this.db.select<{ checked_at: number }>(
      'SELECT checked_at FROM group_presence_check WHERE id = 1',
    );
    return row?.checked_at ?? 0;
  }

  async recordCheck(beganAt: number): Promise<void> {
    await this.db.execute(
      `INSERT INTO group_presence_check (id, checked_at) VALUES (1, ?)
       ON DUPLICATE KEY UPDATE checked_at = GREATEST(checked_at, VALUES(checked_at))`,
      [beganAt],
    );
  }

  private async usersWithUnread(on: Queryable, userIds: readonly string[]): Promise<string[]> {
    const { now, ttlMs } = this.options;
    const rows = await on.select<{ user_id: string }>(
      `SELECT DISTINCT r.user_id FROM group_readers r
       JOIN group_memberships g ON g.user_id = r.user_id
       JOIN large_groups lg ON lg.group_id = g.group_id AND lg.last_position > g.position
       WHERE r.user_id IN (?) AND EXISTS (
         SELECT 1 FROM group_log l JOIN messages m ON m.msg_id = l.msg_id
         WHERE l.group_id = g.group_id AND l.position > g.position
           AND l.accepted_at >= GREATEST(g.joined_at, ?)
           AND (g.left_at IS NULL OR l.accepted_at < g.left_at)
           AND (r.state = ${ABSENT} OR l.accepted_at < r.present_since + ?)
           AND l.sender_id <> r.user_id AND ${notSettledFor('r.user_id')})`,
      [userIds, now() - ttlMs, APPEAR_OVERLAP_MS],
    );
    return rows.map((row) => row.user_id);
  }
}

/** Sets the positions of a user's stays to where the logs were at a time. */
async function settleUntil(tx: Queryable, userId: string, time: number): Promise<void> {
  const stays = await tx.select<Stay & { position: number }>(
    `SELECT g.group_id AS groupId, g.joined_at AS joinedAt, COALESCE(
       (SELECT MIN(l.position) - 1 FROM group_log l
        WHERE l.group_id = g.group_id AND l.accepted_at >= ?), lg.last_position) AS position
     FROM group_memberships g JOIN large_groups lg ON lg.group_id = g.group_id
     WHERE g.user_id = ? AND lg.last_position > g.position`,
    [time, userId],
  );
  for (const { position, ...stay } of stays) await raisePosition(tx, userId, stay, position);
}

/** Positions only rise. */
export async function raisePosition(
  on: Queryable,
  userId: string,
  { groupId, joinedAt }: Stay,
  position: number,
): Promise<void> {
  await on.execute(
    `UPDATE group_memberships SET position = ?
     WHERE user_id = ? AND group_id = ? AND joined_at = ? AND position < ?`,
    [position, userId, groupId, joinedAt, position],
  );
}
