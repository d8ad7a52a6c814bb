/** Rows of `user_keys`: wrapped data keys. */
import { chunks, MAX_ROWS } from './chunks';
import type { Queryable } from './database';
import { compare } from './message-rows';

export interface UserKeyRow {
  readonly keyId: string;
  readonly userId: string;
  readonly version: number;
  readonly wrapped: Buffer;
  readonly masterKeyId: string;
  /** unix ms */
  readonly createdAt: number;
}

/** How many keys each master key wraps. */
export interface MasterKeyUse {
  readonly masterKeyId: string;
  readonly userKeys: number;
}

const COLUMNS = `k.key_id AS keyId, k.user_id AS userId, k.version, k.wrapped_key AS wrapped,
  k.master_key_id AS masterKeyId, k.created_at AS createdAt`;

export class UserKeyRows {
  constructor(private readonly db: Queryable) {}

  /** The newest key of each of the users who have one. */
  async newest(userIds: readonly string[]): Promise<Map<string, UserKeyRow>> {
    const found = new Map<string, UserKeyRow>();
    for (const piece of chunks(userIds)) {
      const rows = await this.db.select<UserKeyRow>(
        `SELECT ${COLUMNS} FROM user_keys k
         JOIN (SELECT user_id, MAX(version) AS version FROM user_keys
               WHERE user_id IN (?) GROUP BY user_id) newest
           ON newest.user_id = k.user_id AND newest.version = k.version`,
        [piece],
      );
      for (const row of rows) found.set(row.userId, row);
    }
    return found;
  }

  /** The keys that there are of these ids. */
  async byIds(keyIds: readonly string[]): Promise<UserKeyRow[]> {
    const found: UserKeyRow[] = [];
    for (const piece of chunks(keyIds)) {
      found.push(
        ...(await this.db.select<UserKeyRow>(
          `SELECT ${COLUMNS} FROM user_keys k WHERE k.key_id IN (?)`,
          [piece],
        )),
      );
    }
    return found;
  }

  /**
   * Adds keys; where a user has one of that version already, that one stays, and a user who was erased
   * gets none: the statement and the erasure wait for each other.
   */
  async add(rows: readonly UserKeyRow[]): Promise<void> {
    // In one order for all processes, so that they do not deadlock.
    const sorted = [...rows].sort((a, b) => compare(a.userId, b.userId));
    for (const piece of chunks(sorted)) {
      await this.db.execute(
        `INSERT INTO user_keys (key_id, user_id, version, wrapped_key, master_key_id, created_at)
         SELECT k.* FROM (
           SELECT ? AS key_id, ? AS user_id, ? AS version, ? AS wrapped_key, ? AS master_key_id,
             ? AS created_at
           ${'UNION ALL SELECT ?, ?, ?, ?, ?, ? '.repeat(piece.length - 1)}) k
         WHERE NOT EXISTS (SELECT 1 FROM erased_users e WHERE e.user_id = k.user_id)
         ON DUPLICATE KEY UPDATE key_id = user_keys.key_id`,
        piece.flatMap((k) => [k.keyId, k.userId, k.version, k.wrapped, k.masterKeyId, k.createdAt]),
      );
    }
  }

  /** Keys after `afterKeyId` ('' from the start) that another master key than this wraps. */
  async notWrappedBy(
    masterKeyId: string,
    afterKeyId: string,
    limit: number,
  ): Promise<UserKeyRow[]> {
    return this.db.select<UserKeyRow>(
      `SELECT ${COLUMNS} FROM user_keys k WHERE k.key_id > ? AND k.master_key_id <> ?
       ORDER BY k.key_id LIMIT ?`,
      [afterKeyId, masterKeyId, Math.min(limit, MAX_ROWS)],
    );
  }

  /** Puts a key's new wrapping in the place of the one that was read; false when that has gone. */
  async rewrap(
    row: UserKeyRow,
    now: Pick<UserKeyRow, 'wrapped' | 'masterKeyId'>,
  ): Promise<boolean> {
    const { affectedRows } = await this.db.execute(
      'UPDATE user_keys SET wrapped_key = ?, master_key_id = ? WHERE key_id = ? AND wrapped_key = ?',
      [now.wrapped, now.masterKeyId, row.keyId, row.wrapped],
    );
    return affectedRows > 0;
  }

  /** Destroys all keys of a user: what they encrypt is unreadable from now on. Returns how many. */
  async destroy(userId: string): Promise<number> {
    return (await this.db.execute('DELETE FROM user_keys WHERE user_id = ?', [userId]))
      .affectedRows;
  }

  async masterKeyUse(): Promise<MasterKeyUse[]> {
    return this.db.select<MasterKeyUse>(
      `SELECT master_key_id AS masterKeyId, COUNT(*) AS userKeys FROM user_keys
       GROUP BY master_key_id ORDER BY master_key_id`,
    );
  }
}
