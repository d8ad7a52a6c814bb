/**
 * Group messages that are stored, while it is yet to be found out who was away. They are kept apart from
 * Kafka, which forgets group messages after an hour. Every call may be repeated.
 */
import type { SequencedMessage } from '../../domain/message';
import { chunks, MAX_ROWS } from './chunks';
import type { Database } from './database';
import { erasedAmong } from './erased-messages';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';

export class FanoutBacklog {
  constructor(private readonly db: Database) {}

  /** Those of the groups with messages here: what comes after these has to wait behind them. */
  async groupsAmong(groupIds: readonly string[]): Promise<Set<string>> {
    const found = new Set<string>();
    for (const piece of chunks([...new Set(groupIds)])) {
      const rows = await this.db.select<{ group_id: string }>(
        'SELECT DISTINCT group_id FROM group_fanout_pending WHERE group_id IN (?)',
        [piece],
      );
      for (const row of rows) found.add(row.group_id);
    }
    return found;
  }

  /** Adds messages that are stored, in their order; not those that were erased. */
  async add(messages: readonly SequencedMessage[]): Promise<void> {
    for (const piece of chunks(messages)) {
      await this.db.transaction(async (tx) => {
        await tx.execute(
          `INSERT INTO group_fanout_pending (msg_id, group_id, accepted_at) VALUES ?
           ON DUPLICATE KEY UPDATE msg_id = group_fanout_pending.msg_id`,
          [piece.map((one) => [one.msgId, one.conversation.key, one.acceptedAt])],
        );
        // After the insert, whose locks a deletion waits for.
        const erased = await erasedAmong(
          tx,
          piece.map(({ msgId }) => msgId),
        );
        if (erased.size === 0) return;
        await tx.execute('DELETE FROM group_fanout_pending WHERE msg_id IN (?)', [[...erased]]);
      });
    }
  }

  /** Groups with messages here, those tried longest ago first. */
  async groups(limit: number): Promise<string[]> {
    const rows = await this.db.select<{ group_id: string }>(
      `SELECT group_id FROM group_fanout_pending
       GROUP BY group_id ORDER BY MAX(tried_at), MIN(id) LIMIT ?`,
      [limit],
    );
    return rows.map((row) => row.group_id);
  }

  /** The first messages of a group, in their order; those that were erased since are dropped. */
  async next(groupId: string, limit: number): Promise<SequencedMessage[]> {
    await this.db.execute(
      `DELETE FROM group_fanout_pending WHERE group_id = ?
         AND NOT EXISTS (SELECT 1 FROM messages m WHERE m.msg_id = group_fanout_pending.msg_id)`,
      [groupId],
    );
    const rows = await this.db.select<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM group_fanout_pending p JOIN messages m ON m.msg_id = p.msg_id
       WHERE p.group_id = ? ORDER BY p.id LIMIT ?`,
      [groupId, Math.min(limit, MAX_ROWS)],
    );
    return rows.map(toMessage);
  }

  async remove(messages: readonly SequencedMessage[]): Promise<void> {
    for (const piece of chunks(messages)) {
      await this.db.execute('DELETE FROM group_fanout_pending WHERE msg_id IN (?)', [
        piece.map(({ msgId }) => msgId),
      ]);
    }
  }

  /** The group's members could not be known then either: others are tried before it. */
  async noteAttempt(groupId: string, at: number): Promise<void> {
    await this.db.execute('UPDATE group_fanout_pending SET tried_at = ? WHERE group_id = ?', [
      at,
      groupId,
    ]);
  }
}
