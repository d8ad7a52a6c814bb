/**
 * Who is in a large group, from when to when: what was accepted during a stay is for that user.
 * Changes carry their times, so that they may be told again, or late, and change nothing then.
 */
import type { MembershipChange } from '../../domain/roster';
import { chunks, MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { APPEAR_OVERLAP_MS, lockGroup, noteBehind } from './group-log';

/** A member as a group's members are first written down. */
export interface FirstMember {
  readonly userId: string;
  /** unix ms; both 0 when not known, or absent */
  readonly joinedAt: number;
  readonly presentSince: number;
}

export class GroupStays {
  constructor(private readonly db: Database) {}

  /** Whether the group is a large one with all its members written down. */
  async isActive(groupId: string): Promise<boolean> {
    const rows = await this.db.select(
      'SELECT 1 FROM large_groups WHERE group_id = ? AND active_at IS NOT NULL',
      [groupId],
    );
    return rows.length > 0;
  }

  /** Makes the group a large one; its changes are written down from now on. */
  async begin(groupId: string): Promise<void> {
    await this.db.execute(
      'INSERT INTO large_groups (group_id) VALUES (?) ON DUPLICATE KEY UPDATE group_id = group_id',
      [groupId],
    );
  }

  /** Writes down members who are in the group already. */
  async add(groupId: string, members: readonly FirstMember[]): Promise<void> {
    await this.db.transaction(async (tx) => {
      await lockGroup(tx, groupId);
      for (const piece of chunks(members)) {
        await addReaders(tx, piece);
        const open = await openStays(tx, groupId, piece);
        const rows = piece
          .filter(({ userId }) => !open.has(userId))
          .map(({ userId, joinedAt }) => [userId, groupId, joinedAt, 0]);
        await insertStays(tx, rows);
      }
    });
  }

  /** All members are written down: ends the stays of those who left meanwhile. */
  async activate(groupId: string, now: number): Promise<void> {
    await this.db.transaction(async (tx) => {
      await lockGroup(tx, groupId);
      const left = await tx.select<{ user_id: string; left_at: number }>(
        `SELECT user_id, MAX(left_at) AS left_at FROM group_memberships
         WHERE group_id = ? AND left_at IS NOT NULL GROUP BY user_id`,
        [groupId],
      );
      for (const { user_id, left_at } of left) await endStay(tx, groupId, user_id, left_at);
      await tx.execute('UPDATE large_groups SET active_at = ? WHERE group_id = ?', [now, groupId]);
    });
  }

  private async largeAmong(groupIds: readonly string[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (const piece of chunks(groupIds)) {
      const rows = await this.db.select<{ group_id: string }>(
        'SELECT group_id FROM large_groups WHERE group_id IN (?)',
        [piece],
      );
      for (const row of rows) found.add(row.group_id);
    }
    return found;
  }

  /**
   * The changes that have to be applied: not those of groups that are not large, nor joins of users who
   * are written down already, as all are who come with the news that a large group was made.
   */
  async relevant(changes: readonly MembershipChange[]): Promise<MembershipChange[]> {
    const large = await this.largeAmong([...new Set(changes.map(({ groupId }) => groupId))]);
    const ofLarge = changes.filter(({ groupId }) => large.has(groupId));
    const times = new Map<string, number>();
    for (const change of ofLarge) times.set(nameOf(change), (times.get(nameOf(change)) ?? 0) + 1);
    const present = new Set<string>();
    for (const piece of chunks(ofLarge)) {
      const rows = await this.db.select<{ groupId: string; userId: string }>(
        `SELECT group_id AS groupId, user_id AS userId FROM group_memberships
         WHERE (user_id, group_id) IN (?) AND left_at IS NULL`,
        [piece.map(({ userId, groupId }) => [userId, groupId])],
      );
      for (const row of rows) present.add(nameOf(row));
    }
    return ofLarge.filter((change) => {
      const isAlone = times.get(nameOf(change)) === 1;
      return !(change.type === 'join' && isAlone && present.has(nameOf(change)));
    });
  }

  /**
   * Writes down joins of a large group, of different users; `joinedAt` is when they joined. Returns those
   * who count as present, but perhaps not since they joined: they may have to get something yet.
   */
  async join(groupId: string, joins: readonly FirstMember[]): Promise<string[]> {
    return this.db.transaction(async (tx) => {
      const doubtful: string[] = [];
      const head = await lockGroup(tx, groupId);
      for (const piece of chunks(joins)) {
        const ends = await lastEnds(tx, groupId, piece);
        const news = piece.filter(({ userId, joinedAt }) => (ends.get(userId) ?? 0) <= joinedAt);
        if (news.length === 0) continue;
        await addReaders(tx, news);
        const rows: (string | number)[][] = [];
        for (const [at, before] of await positionsBefore(tx, groupId, news, head)) {
          const then = news.filter(({ joinedAt }) => joinedAt === at);
          rows.push(...then.map(({ userId }) => [userId, groupId, at, before]));
          doubtful.push(...(await unsettle(tx, then, at)));
        }
        await insertStays(tx, rows);
      }
      return doubtful;
    });
  }

  /** A page of the users who are in a group, after a user. */
  async openPage(groupId: string, afterUserId: string): Promise<string[]> {
    const rows = await this.db.select<{ user_id: string }>(
      `SELECT user_id FROM group_memberships
       WHERE group_id = ? AND user_id > ? AND left_at IS NULL ORDER BY user_id LIMIT ${MAX_ROWS}`,
      [groupId, afterUserId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Ends stays of users as of `at`, of which nobody heard; only such as began before a time. */
  async endBefore(
    groupId: string,
    userIds: readonly string[],
    at: number,
    before: number,
  ): Promise<void> {
    for (const piece of chunks(userIds)) {
      await this.db.execute(
        `UPDATE group_memberships SET left_at = GREATEST(joined_at, ?)
         WHERE group_id = ? AND user_id IN (?) AND left_at IS NULL AND joined_at < ?`,
        [at, groupId, piece, before],
      );
    }
  }

  /** Writes down leaves of a large group. */
  async leave(groupId: string, leaves: readonly MembershipChange[]): Promise<void> {
    await this.db.transaction(async (tx) => {
      await lockGroup(tx, groupId);
      for (const { userId, at } of leaves) {
        if (await endStay(tx, groupId, userId, at)) continue;
        // While the members are being written down this user's stay may come later: end it then.
        await tx.execute(
          `INSERT INTO group_memberships (user_id, group_id, joined_at, left_at, position)
           SELECT ?, group_id, 0, ?, 0 FROM large_groups WHERE group_id = ? AND active_at IS NULL
           ON DUPLICATE KEY UPDATE user_id = group_memberships.user_id`,
          [userId, at, groupId],
        );
      }
    });
  }
}

/** No id contains `/`. */
function nameOf({ groupId, userId }: { groupId: string; userId: string }): string {
  return `${groupId}/${userId}`;
}

async function endStay(
  tx: Queryable,
  groupId: string,
  userId: string,
  at: number,
): Promise<boolean> {
  const result = await tx.execute(
    `UPDATE group_memberships SET left_at = ?
     WHERE user_id = ? AND group_id = ? AND left_at IS NULL AND joined_at <= ?`,
    [at, userId, groupId, at],
  );
  return result.affectedRows > 0;
}

/** When the last stay of each user ended, unix ms; `Infinity` for one that goes on. */
async function lastEnds(
  tx: Queryable,
  groupId: string,
  members: readonly FirstMember[],
): Promise<Map<string, number>> {
  const rows = await tx.select<{ user_id: string; left_at: number | null }>(
    `SELECT user_id, left_at FROM group_memberships WHERE group_id = ? AND user_id IN (?)`,
    [groupId, members.map(({ userId }) => userId)],
  );
  const ends = new Map<string, number>();
  for (const { user_id, left_at } of rows) {
    ends.set(user_id, Math.max(ends.get(user_id) ?? 0, left_at ?? Infinity));
  }
  return ends;
}

/** For each time of a join, the position of the log's last entry from before it. */
async function positionsBefore(
  tx: Queryable,
  groupId: string,
  joins: readonly FirstMember[],
  head: number,
): Promise<Map<number, number>> {
  const positions = new Map<number, number>();
  for (const at of new Set(joins.map(({ joinedAt }) => joinedAt))) {
    const [first] = await tx.select<{ position: number | null }>(
      'SELECT MIN(position) AS position FROM group_log WHERE group_id = ? AND accepted_at >= ?',
      [groupId, at],
    );
    positions.set(at, first?.position ? first.position - 1 : head);
  }
  return positions;
}

async function openStays(
  tx: Queryable,
  groupId: string,
  members: readonly FirstMember[],
): Promise<Set<string>> {
  const rows = await tx.select<{ user_id: string }>(
    'SELECT user_id FROM group_memberships WHERE group_id = ? AND user_id IN (?) AND left_at IS NULL',
    [groupId, members.map(({ userId }) => userId)],
  );
  return new Set(rows.map((row) => row.user_id));
}

/** Readers who are there stay as they are: the presence watch knows better. */
async function addReaders(tx: Queryable, members: readonly FirstMember[]): Promise<void> {
  const rows = members.map(({ userId, presentSince }) => [
    userId,
    presentSince > 0 ? 2 : 0,
    presentSince,
  ]);
  await tx.execute(
    `INSERT INTO group_readers (user_id, state, present_since) VALUES ?
     ON DUPLICATE KEY UPDATE user_id = group_readers.user_id`,
    [rows],
  );
}

/** Of the members those who appeared after `joinedAt`, or hardly before; notes that they may be behind. */
async function unsettle(
  tx: Queryable,
  members: readonly FirstMember[],
  joinedAt: number,
): Promise<string[]> {
  const rows = await tx.select<{ user_id: string }>(
    'SELECT user_id FROM group_readers WHERE user_id IN (?) AND present_since > ? ORDER BY user_id FOR UPDATE',
    [members.map(({ userId }) => userId), joinedAt - APPEAR_OVERLAP_MS],
  );
  const users = rows.map((row) => row.user_id);
  await noteBehind(tx, users);
  return users;
}

async function insertStays(tx: Queryable, rows: readonly (string | number)[][]): Promise<void> {
  if (rows.length === 0) return;
  await tx.execute(
    `INSERT INTO group_memberships (user_id, group_id, joined_at, position) VALUES ?
     ON DUPLICATE KEY UPDATE user_id = group_memberships.user_id`,
    [rows],
  );
}
