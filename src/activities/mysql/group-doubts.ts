/**
 * Which large groups may have changed without our hearing of it, and what was heard of
 * `membership_change` at all. Every call may be repeated.
 */
import type { Database } from './database';

/** What is known of a partition of `membership_change`. */
export interface WatchedPartition {
  readonly partition: number;
  /** All before it is known, or known to be lost. */
  readonly knownOffset: number;
  /** When nothing was left to read, unix ms. */
  readonly heardAt: number;
}

/** A group whose changes since then (unix ms) may have been missed. */
export interface DoubtfulGroup {
  readonly groupId: string;
  readonly since: number;
}

export class GroupDoubts {
  constructor(private readonly db: Database) {}

  async watched(): Promise<Map<number, WatchedPartition>> {
    const rows = await this.db.select<WatchedPartition>(
      `SELECT partition_id AS \`partition\`, known_offset AS knownOffset, heard_at AS heardAt
       FROM membership_watch`,
    );
    return new Map(rows.map((row) => [row.partition, row]));
  }

  /** Only forward. */
  async noteWatched(partitions: readonly WatchedPartition[]): Promise<void> {
    await this.db.execute(
      `INSERT INTO membership_watch (partition_id, known_offset, heard_at) VALUES ?
       ON DUPLICATE KEY UPDATE known_offset = GREATEST(known_offset, VALUES(known_offset)),
         heard_at = GREATEST(heard_at, VALUES(heard_at))`,
      [partitions.map((one) => [one.partition, one.knownOffset, one.heardAt])],
    );
  }

  /** Casts doubt on every large group; an older doubt stays. */
  async doubtAll(since: number): Promise<void> {
    await this.db.execute(
      `UPDATE large_groups SET doubtful_since = LEAST(COALESCE(doubtful_since, ?), ?)
       WHERE active_at IS NOT NULL`,
      [since, since],
    );
  }

  /** A page of them in the order of their ids, after a group. */
  async doubtful(afterGroupId: string, limit: number): Promise<DoubtfulGroup[]> {
    return this.db.select<DoubtfulGroup>(
      `SELECT group_id AS groupId, doubtful_since AS since FROM large_groups
       WHERE doubtful_since IS NOT NULL AND group_id > ? ORDER BY group_id LIMIT ?`,
      [afterGroupId, limit],
    );
  }

  /** Ends a doubt, unless an older one has come meanwhile. */
  async clear({ groupId, since }: DoubtfulGroup): Promise<void> {
    await this.db.execute(
      'UPDATE large_groups SET doubtful_since = NULL WHERE group_id = ? AND doubtful_since = ?',
      [groupId, since],
    );
  }
}
