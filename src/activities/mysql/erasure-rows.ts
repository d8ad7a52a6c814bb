/**
 * The erasure of a user in MySQL: marked for good, their keys destroyed, then row by row, a bounded
 * batch a call. Every call may be repeated; what is done is not found any more.
 */
import { compare } from './message-rows';
import type { Database, Queryable } from './database';
import { erasedUsersAmong } from './erased-users';
import { INBOX_STATE } from './message-store';
import { inPieces, summarize } from './receipt-log';
import { clear } from './some-rows';

/** Rows of one batch, which is one transaction. */
const ERASE_BATCH = 200;
/** Statements about others' receipts of one call: some seconds. */
const CLEAR_STATEMENTS = 300;
/** Rows of one page that is only counted. */
const COUNT_PAGE = 5_000;

/** What there is of a user. */
export interface UserTraces {
  readonly keys: number;
  /** Sent by them, and not erased yet. */
  readonly messages: number;
  readonly inboxRows: number;
  /** Given by them, and by others on their messages. */
  readonly receipts: number;
  /** Stays in large groups, and how far they read in groups. */
  readonly groupRows: number;
}

/** What a batch of messages came to. */
export interface ErasedBatch {
  /** How many of them waited, by recipient: they do no more. */
  readonly waited: ReadonlyMap<string, number>;
  /** Where the next batch begins, which may be the same place; `undefined` after the last one. */
  readonly next: number | undefined;
}

export class ErasureRows {
  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {}

  async traces(userId: string): Promise<UserTraces> {
    const count = async (from: string, values: string[] = [userId]): Promise<number> => {
      const [row] = await this.db.select<{ n: number }>(
        `SELECT COUNT(*) AS n FROM ${from}`,
        values,
      );
      return row?.n ?? 0;
    };
    return {
      keys: await count('user_keys WHERE user_id = ?'),
      messages: await this.countMessages(userId),
      inboxRows: await count('inbox WHERE user_id = ?'),
      receipts:
        (await count('read_receipts WHERE reader_id = ?')) + (await this.countReceived(userId)),
      groupRows:
        (await count('group_memberships WHERE user_id = ?')) +
        (await count('group_reads WHERE user_id = ?')),
    };
  }

  async isErased(userId: string): Promise<boolean> {
    return (await erasedUsersAmong(this.db, [userId])).has(userId);
  }

  /** From now on the user is erased, and what their keys encrypted is unreadable. */
  async markAndDestroyKeys(userId: string): Promise<void> {
    await this.db.transaction(async (tx) => {
      await tx.execute(
        `INSERT INTO erased_users (user_id, erased_at) VALUES (?, ?)
         ON DUPLICATE KEY UPDATE user_id = erased_users.user_id`,
        [userId, this.now()],
      );
      await tx.execute('DELETE FROM user_keys WHERE user_id = ?', [userId]);
    });
  }

  /**
   * Takes the content out of a batch of their messages, from the first with `afterId` 0; nothing of
   * them waits or is listed any more. As long as they have many receipts, some of those go instead.
   */
  async eraseMessages(userId: string, afterId: number): Promise<ErasedBatch> {
    const page = await this.messagesAfter(userId, afterId, ERASE_BATCH);
    const next = page.length < ERASE_BATCH ? undefined : page.at(-1)?.id;
    const rows = page.filter((row) => row.erased_at === null);
    if (rows.length === 0) return { waited: new Map(), next };
    const msgIds = rows.map((row) => row.msg_id);
    // Those of a group's readers: only what comes meanwhile is left to the transaction.
    if (!(await clear(this.db, 'read_receipts', msgIds, CLEAR_STATEMENTS))) {
      return { waited: new Map(), next: afterId };
    }
    const waited = await this.db.transaction(async (tx) => {
      const waited = await settle(tx, msgIds);
      await tx.execute('DELETE FROM read_receipts WHERE msg_id IN (?)', [msgIds]);
      await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [msgIds]);
      await tx.execute('DELETE FROM group_log WHERE msg_id IN (?)', [msgIds]);
      await tx.execute(
        `UPDATE messages SET content = '', content_encoding = 'plain', metadata = NULL,
           erased_at = ? WHERE id IN (?) AND erased_at IS NULL`,
        [this.now(), rows.map((row) => row.id)],
      );
      return waited;
    });
    return { waited, next };
  }

  /** Removes a batch of their inbox, and its head in the end; false when nothing is left. */
  async eraseInbox(userId: string): Promise<boolean> {
    return this.db.transaction(async (tx) => {
      await tx.select('SELECT user_id FROM inbox_heads WHERE user_id = ? FOR UPDATE', [userId]);
      const rows = await tx.select<{ position: number; state: number }>(
        `SELECT position, state FROM inbox WHERE user_id = ? ORDER BY position LIMIT ${ERASE_BATCH}`,
        [userId],
      );
      if (rows.length === 0) {
        await tx.execute('DELETE FROM inbox_heads WHERE user_id = ?', [userId]);
        return false;
      }
      await tx.execute('DELETE FROM inbox WHERE user_id = ? AND position IN (?)', [
        userId,
        rows.map(({ position }) => position),
      ]);
      const waited = rows.filter(({ state }) => state === INBOX_STATE.pending).length;
      await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id = ?', [
        waited,
        userId,
      ]);
      return true;
    });
  }

  /** Removes a batch of the receipts they gave, then of those on their messages; false when none is left. */
  async eraseReceipts(userId: string): Promise<boolean> {
    if (await this.eraseGiven(userId)) return true;
    if (await this.eraseReceived(userId)) return true;
    await this.db.execute('DELETE FROM receipt_publications WHERE sender_id = ?', [userId]);
    return false;
  }

  /** Takes their devices off a batch of the messages they were sent; returns where the next begins. */
  async eraseDevices(userId: string, afterId: number): Promise<number | undefined> {
    const page = await this.db.select<{ id: number; hasDevices: number }>(
      `SELECT id, delivered_devices IS NOT NULL AS hasDevices FROM messages
       WHERE recipient_id = ? AND id > ? ORDER BY id LIMIT ${ERASE_BATCH}`,
      [userId, afterId],
    );
    const ids = page.filter(({ hasDevices }) => hasDevices === 1).map(({ id }) => id);
    if (ids.length > 0) {
      await this.db.execute('UPDATE messages SET delivered_devices = NULL WHERE id IN (?)', [ids]);
    }
    return page.length < ERASE_BATCH ? undefined : page.at(-1)?.id;
  }

  /** Removes a batch of their places in groups, and of what they hid; false when none is left. */
  async eraseGroups(userId: string): Promise<boolean> {
    let removed = 0;
    for (const table of ['group_memberships', 'group_reads', 'group_readers', 'hidden_messages']) {
      const result = await this.db.execute(
        `DELETE FROM ${table} WHERE user_id = ? LIMIT ${ERASE_BATCH}`,
        [userId],
      );
      removed += result.affectedRows;
    }
    return removed > 0;
  }

  /** What the receipts came to is made anew from those of others. */
  private async eraseGiven(userId: string): Promise<boolean> {
    const page = await this.db.select<{ id: number; msg_id: string }>(
      `SELECT id, msg_id FROM read_receipts WHERE reader_id = ? ORDER BY id LIMIT ${ERASE_BATCH}`,
      [userId],
    );
    // A transaction each: what others have read of these messages is gone through, too.
    const pieces = await inPieces(
      this.db,
      page.map((row) => row.msg_id),
    );
    for (const msgIds of pieces) {
      const ids = page.filter((row) => msgIds.includes(row.msg_id)).map((row) => row.id);
      await this.db.transaction((tx) => eraseReceiptsOf(tx, msgIds, ids));
    }
    return page.length > 0;
  }

  /**
   * Those on messages that are erased already too: a receipt may have been under way, or have come for a
   * message that was never stored.
   */
  private async eraseReceived(userId: string): Promise<boolean> {
    return this.db.transaction(async (tx) => {
      const rows = await tx.select<{ id: number; msg_id: string }>(
        `SELECT id, msg_id FROM read_receipts FORCE INDEX (ix_read_receipts_by_sender)
         WHERE sender_id = ? ORDER BY id LIMIT ${ERASE_BATCH}`,
        [userId],
      );
      if (rows.length === 0) return false;
      const msgIds = [...new Set(rows.map((row) => row.msg_id))].sort(compare);
      await tx.execute('DELETE FROM read_receipts WHERE id IN (?)', [rows.map((row) => row.id)]);
      await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [msgIds]);
      return true;
    });
  }

  private async messagesAfter(
    userId: string,
    afterId: number,
    limit: number,
  ): Promise<{ id: number; msg_id: string; erased_at: number | null }[]> {
    // Erased ones too: a page is bounded by what it reads, not by what it finds.
    return this.db.select(
      `SELECT id, msg_id, erased_at FROM messages
       WHERE sender_id = ? AND id > ? ORDER BY id LIMIT ?`,
      [userId, afterId, limit],
    );
  }

  /** In pages: those who read one's groups leave millions. */
  private async countReceived(userId: string): Promise<number> {
    let count = 0;
    for (let after = 0; ;) {
      const [page] = await this.db.select<{ n: number; last: number | null }>(
        `SELECT COUNT(*) AS n, MAX(id) AS last FROM (
           SELECT id FROM read_receipts FORCE INDEX (ix_read_receipts_by_sender)
           WHERE sender_id = ? AND id > ? ORDER BY id LIMIT ${COUNT_PAGE}) AS page`,
        [userId, after],
      );
      count += page?.n ?? 0;
      if (!page || page.n < COUNT_PAGE) return count;
      after = page.last ?? after;
    }
  }

  private async countMessages(userId: string): Promise<number> {
    let count = 0;
    for (let after: number | undefined = 0; after !== undefined;) {
      const page: { id: number; erased_at: number | null }[] = await this.messagesAfter(
        userId,
        after,
        COUNT_PAGE,
      );
      count += page.filter((row) => row.erased_at === null).length;
      after = page.length < COUNT_PAGE ? undefined : page.at(-1)?.id;
    }
    return count;
  }
}

/** Removes receipts of these messages, `ids`, and makes anew what the others come to. */
async function eraseReceiptsOf(
  tx: Queryable,
  msgIds: readonly string[],
  ids: readonly number[],
): Promise<void> {
  await tx.execute('DELETE FROM read_receipts WHERE id IN (?)', [ids]);
  await tx.execute('DELETE FROM read_summaries WHERE msg_id IN (?)', [msgIds]);
  await summarize(tx, msgIds);
  // The receipts themselves only where none was there to sum up: there may be very many.
  await tx.execute(
    `UPDATE messages SET read_at = COALESCE(
       (SELECT s.first_read_at FROM read_summaries s WHERE s.msg_id = messages.msg_id),
       (SELECT MIN(r.read_at) FROM read_receipts r WHERE r.msg_id = messages.msg_id))
     WHERE msg_id IN (?)`,
    [msgIds],
  );
}

/** Ends the wait of messages in whoever's inbox; returns how many waited, by recipient. */
async function settle(tx: Queryable, msgIds: readonly string[]): Promise<Map<string, number>> {
  const rows = await tx.select<{ user_id: string }>(
    'SELECT DISTINCT user_id FROM inbox WHERE msg_id IN (?) AND state = ?',
    [msgIds, INBOX_STATE.pending],
  );
  const waited = new Map<string, number>();
  if (rows.length === 0) return waited;
  const users = rows.map((row) => row.user_id).sort(compare);
  // In the order in which everyone locks them.
  await tx.select(
    'SELECT user_id FROM inbox_heads WHERE user_id IN (?) ORDER BY user_id FOR UPDATE',
    [users],
  );
  for (const userId of users) {
    const { affectedRows } = await tx.execute(
      'UPDATE inbox SET state = ? WHERE user_id = ? AND msg_id IN (?) AND state = ?',
      [INBOX_STATE.expired, userId, msgIds, INBOX_STATE.pending],
    );
    if (affectedRows === 0) continue;
    await tx.execute('UPDATE inbox_heads SET pending = pending - ? WHERE user_id = ?', [
      affectedRows,
      userId,
    ]);
    waited.set(userId, affectedRows);
  }
  return waited;
}
