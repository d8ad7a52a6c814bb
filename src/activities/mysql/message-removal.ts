/**
 * Taking one message out of MySQL, table by table. Begun only once its id is on the erased list: whoever
 * stores looks there in its own transaction, after its inserts, so {@link removeContent}, which waits for
 * transactions that looked too early, is a line that nothing crosses any more.
 */
import { erasedName } from '../erased-name';
import { MAX_ROWS } from './chunks';
import type { Database, Queryable } from './database';
import { erasedAmong } from './erased-messages';
import { INBOX_STATE, insertPlaces, lockHeads, raiseHeads } from './message-store';
import { deleteSome } from './some-rows';
import type { TableOfMessages } from './some-rows';

export class MessageRemoval {
  constructor(private readonly db: Database) {}

  /** The content and everything else that `messages` holds of it. */
  async removeContent(msgId: string): Promise<{ messages: number; hidden: number }> {
    return {
      messages: await this.delete('messages', msgId),
      hidden: await this.delete('hidden_messages', msgId),
    };
  }

  /** The hole that it leaves in the log's positions stops nobody: readers go by what comes after. */
  async removeFromGroupLog(msgId: string): Promise<{ entries: number; backlog: number }> {
    return {
      entries: await this.delete('group_log', msgId),
      backlog: await this.delete('group_fanout_pending', msgId),
    };
  }

  async removeReceipts(msgId: string): Promise<{ receipts: number; summaries: number }> {
    return {
      receipts: await this.delete('read_receipts', msgId),
      summaries: await this.delete('read_summaries', msgId),
    };
  }

  /**
   * Ends its wait in every inbox. Rows stay, under a name from which the id cannot be read: they are
   * places that a client's cursor may be at.
   */
  async clearInboxes(msgId: string): Promise<{ rows: number; waiting: number }> {
    // Whoever inserted rows of it without locking the message itself, and has not committed.
    await this.db.transaction((tx) =>
      tx.select('SELECT COUNT(*) FROM inbox WHERE msg_id = ? LOCK IN SHARE MODE', [msgId]),
    );
    let [rows, waiting] = [0, 0];
    for (;;) {
      const found = await this.holders(msgId, '');
      if (found.length === 0) return { rows, waiting };
      const cleared = await this.db.transaction((tx) => clearPlaces(tx, found, msgId));
      rows += cleared.rows;
      waiting += cleared.waiting;
    }
  }

  /** Those whose inboxes have, or had, a row of the erased message; a page, after a user. */
  async formerHolders(msgId: string, afterUserId: string): Promise<string[]> {
    return this.holders(erasedName(msgId), afterUserId);
  }

  /**
   * Takes a message out of one user's view: it waits for them no more, nor will it when it is stored
   * later, for its place in their inbox is taken. Nothing is left to hide of one erased meanwhile.
   */
  async hide(userId: string, msgId: string, now: number): Promise<{ hidden: number }> {
    try {
      return await this.db.transaction(async (tx) => {
        const hidden = await hideFrom(tx, userId, msgId, now);
        // After the inserts, as whoever stores.
        const erased = await erasedAmong(tx, [msgId]);
        if (erased.size > 0) throw new ErasedMeanwhileError();
        return { hidden };
      });
    } catch (error) {
      if (!(error instanceof ErasedMeanwhileError)) throw error;
      return { hidden: 0 };
    }
  }

  /** Whether a user has deleted a message for themself. */
  async isHidden(userId: string, msgId: string): Promise<boolean> {
    const rows = await this.db.select(
      'SELECT 1 FROM hidden_messages WHERE user_id = ? AND msg_id = ?',
      [userId, msgId],
    );
    return rows.length > 0;
  }

  private async holders(name: string, afterUserId: string): Promise<string[]> {
    const rows = await this.db.select<{ user_id: string }>(
      `SELECT user_id FROM inbox WHERE msg_id = ? AND user_id > ? ORDER BY user_id LIMIT ${MAX_ROWS}`,
      [name, afterUserId],
    );
    return rows.map((row) => row.user_id);
  }

  /** Some at a time: of a group's message there is a receipt of each who read it. */
  private async delete(table: TableOfMessages, msgId: string): Promise<number> {
    for (let removed = 0; ;) {
      const some = await deleteSome(this.db, table, [msgId]);
      removed += some;
      if (some < MAX_ROWS) return removed;
    }
  }
}

/** Undoes what was written of a message that was erased since. */
class ErasedMeanwhileError extends Error {
  override readonly name = 'ErasedMeanwhile';
}

async function hideFrom(
  tx: Queryable,
  userId: string,
  msgId: string,
  now: number,
): Promise<number> {
  const heads = await lockHeads(tx, [userId]);
  const { affectedRows } = await tx.execute(
    `INSERT INTO hidden_messages (user_id, msg_id, hidden_at) VALUES (?, ?, ?)
     ON DUPLICATE KEY UPDATE user_id = hidden_messages.user_id`,
    [userId, msgId, now],
  );
  const [row] = await tx.select<{ state: number }>(
    'SELECT state FROM inbox WHERE user_id = ? AND msg_id = ?',
    [userId, msgId],
  );
  if (!row) {
    await raiseHeads(tx, await insertPlaces(tx, [{ userId, msgId, expiresAt: now }], heads));
  }
  if (!row || row.state === INBOX_STATE.pending) {
    await tx.execute('UPDATE inbox SET state = ? WHERE user_id = ? AND msg_id = ?', [
      INBOX_STATE.delivered,
      userId,
      msgId,
    ]);
    await lowerHeads(tx, [userId]);
  }
  return affectedRows;
}

/** Under the locks of the heads, as wherever inboxes are changed. */
async function clearPlaces(
  tx: Queryable,
  userIds: readonly string[],
  msgId: string,
): Promise<{ rows: number; waiting: number }> {
  await lockHeads(tx, userIds);
  const waiting = await tx.select<{ user_id: string }>(
    'SELECT user_id FROM inbox WHERE msg_id = ? AND user_id IN (?) AND state = ?',
    [msgId, userIds, INBOX_STATE.pending],
  );
  const { affectedRows } = await tx.execute(
    'UPDATE inbox SET msg_id = ?, state = ? WHERE msg_id = ? AND user_id IN (?)',
    [erasedName(msgId), INBOX_STATE.erased, msgId, userIds],
  );
  await lowerHeads(
    tx,
    waiting.map((row) => row.user_id),
  );
  return { rows: affectedRows, waiting: waiting.length };
}

async function lowerHeads(tx: Queryable, userIds: readonly string[]): Promise<void> {
  if (userIds.length === 0) return;
  await tx.execute('UPDATE inbox_heads SET pending = pending - 1 WHERE user_id IN (?)', [userIds]);
}
