/**
 * Takes away what is past its time in groups: entries of the logs of large ones that wait for nobody any
 * more, stays that ended so long ago that nothing of them is left, and messages whose members could not be
 * known in all that time. Messages themselves are history and stay.
 */
import type { Database } from './database';

export class GroupExpiry {
  /** `ttlMs`: how long a message waits, counted from when we took it. */
  constructor(
    private readonly db: Database,
    private readonly options: { readonly ttlMs: number },
  ) {}

  /**
   * Deletes at most `limit` rows, the oldest first, and returns how many it were: call again until it is
   * less than `limit`. May be repeated, and run by many at once. Nothing unread is touched.
   */
  async purgeExpired(now: number, limit: number): Promise<number> {
    const before = now - this.options.ttlMs;
    let purged = await this.purge('group_log', 'accepted_at', before, limit);
    purged += await this.purge('group_memberships', 'left_at', before, limit - purged);
    purged += await this.purge('group_fanout_pending', 'accepted_at', before, limit - purged);
    return purged;
  }

  private async purge(table: string, time: string, before: number, limit: number): Promise<number> {
    if (limit === 0) return 0;
    // READ COMMITTED: no gap is locked into which others insert.
    const result = await this.db.transaction((tx) =>
      tx.execute(`DELETE FROM ${table} WHERE ${time} < ? ORDER BY ${time} LIMIT ?`, [
        before,
        limit,
      ]),
    );
    return result.affectedRows;
  }
}
