/** The durable list of erased ids: whatever comes late, again or from a replay is dropped by it. */
import type { GdprState } from '../../domain/gdpr';
import { chunks, MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';

export class ErasedMessages {
  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {}

  /**
   * Lists a message as erased, and as not taken out yet; listed again, it stays as it is. False, and nothing is listed, when the job
   * has ended as canceled: whoever asks was left behind.
   */
  async add(msgId: string, jobId: string, expiresAt: number): Promise<boolean> {
    return this.db.transaction(async (tx) => {
      const [job] = await tx.select<{ state: GdprState }>(
        'SELECT state FROM gdpr_jobs WHERE job_id = ? FOR UPDATE',
        [jobId],
      );
      if (job?.state === 'canceled') return false;
      await tx.execute(
        `INSERT INTO erased_messages (msg_id, erased_at, job_id, expires_at, in_removal)
         VALUES (?, ?, ?, ?, 1)
         ON DUPLICATE KEY UPDATE msg_id = erased_messages.msg_id`,
        [msgId, this.now(), jobId, expiresAt],
      );
      return true;
    });
  }

  /** Notes that nothing is left of it that a read would have to leave out. */
  async noteRemoved(msgId: string): Promise<void> {
    await this.db.execute('UPDATE erased_messages SET in_removal = 0 WHERE msg_id = ?', [msgId]);
  }

  /** Keeps a listed id on the list until then at least. */
  async keepUntil(msgId: string, expiresAt: number): Promise<void> {
    await this.db.execute(
      'UPDATE erased_messages SET expires_at = ? WHERE msg_id = ? AND expires_at < ?',
      [expiresAt, msgId, expiresAt],
    );
  }

  /** The job that erased the message; `undefined` when none did. */
  async find(msgId: string): Promise<string | undefined> {
    const [row] = await this.db.select<{ job_id: string }>(
      'SELECT job_id FROM erased_messages WHERE msg_id = ?',
      [msgId],
    );
    return row?.job_id;
  }

  /** Those of the ids that are erased. */
  async among(msgIds: readonly string[]): Promise<Set<string>> {
    return erasedAmong(this.db, msgIds);
  }

  /** Takes off the list what cannot come back any more, at most a few hundred a call. */
  async purge(): Promise<number> {
    const { affectedRows } = await this.db.execute(
      `DELETE FROM erased_messages WHERE expires_at < ? ORDER BY expires_at LIMIT ${MAX_ROWS}`,
      [this.now()],
    );
    return affectedRows;
  }
}

/**
 * That a message is not listed as erased while some of it is still there; for reads, which would show it.
 * `msgId` is an SQL expression. Mostly no message is in removal: asked once for a statement, which spares
 * the look for each row.
 */
export function notInRemoval(msgId: string): string {
  return `(NOT EXISTS (SELECT 1 FROM erased_messages WHERE in_removal = 1)
    OR NOT EXISTS (SELECT 1 FROM erased_messages e WHERE e.msg_id = ${msgId}))`;
}

/** Those of the ids that are erased, as the transaction sees it. */
export async function erasedAmong(on: Queryable, msgIds: readonly string[]): Promise<Set<string>> {
  const erased = new Set<string>();
  for (const piece of chunks([...new Set(msgIds)])) {
    const rows = await on.select<{ msg_id: string }>(
      'SELECT msg_id FROM erased_messages WHERE msg_id IN (?)',
      [piece],
    );
    for (const row of rows) erased.add(row.msg_id);
  }
  return erased;
}
