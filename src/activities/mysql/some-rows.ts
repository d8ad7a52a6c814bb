/**
 * Deleting rows about messages some at a time. How many there are of one message is up to others: each
 * reader leaves a receipt, and all of a group's in one statement would take longer than a statement may.
 */
import { MAX_ROWS } from './chunks';
import type { Database } from './database';

/** Tables of which whole rows go. */
export type TableOfMessages =
  | 'messages'
  | 'hidden_messages'
  | 'group_log'
  | 'group_fanout_pending'
  | 'read_receipts'
  | 'read_summaries';

/** Deletes at most {@link MAX_ROWS} rows about these messages; returns how many: fewer were the last. */
export async function deleteSome(
  db: Database,
  table: TableOfMessages,
  msgIds: readonly string[],
): Promise<number> {
  if (msgIds.length === 0) return 0;
  // READ COMMITTED and by a key: no gap is locked into which others insert.
  return db.transaction(async (tx) => {
    const { affectedRows } = await tx.execute(
      `DELETE FROM ${table} WHERE msg_id IN (?) LIMIT ${MAX_ROWS}`,
      [msgIds],
    );
    return affectedRows;
  });
}

/**
 * Deletes rows about these messages until a few are left at most, or `statements` are spent: false then.
 */
export async function clear(
  db: Database,
  table: TableOfMessages,
  msgIds: readonly string[],
  statements: number,
): Promise<boolean> {
  // Mostly these are all. Then one message after another: each statement walks over what those before it
  // deleted, for as long as somebody's old view of the database keeps that.
  if ((await deleteSome(db, table, msgIds)) < MAX_ROWS) return true;
  let spent = 1;
  for (const msgId of msgIds) {
    do {
      if (spent++ === statements) return false;
    } while ((await deleteSome(db, table, [msgId])) === MAX_ROWS);
  }
  return true;
}
