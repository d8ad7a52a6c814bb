/**
 * The logs of large groups: each message once, at a position that counts up by one, whatever the
 * number of members. Every call may be repeated with the same input and then changes nothing.
 */
import type { SequencedMessage } from '../../domain/message';
import { chunks } from './chunks';
import type { Database, Queryable } from './database';
import { notInRemoval } from './erased-messages';
import { erasedUsersAmong } from './erased-users';
import { insertMessages } from './message-rows';

/**
 * How far the clocks of those who stamp a message and an appearance may differ, ms: what was accepted so
 * shortly after a user appeared is delivered as if it were from before.
 */
export const APPEAR_OVERLAP_MS = 250;
/**
 * That an entry `l` of a log is not settled for a user by itself, out of the order of their position: they
 * have not read it, no row of their inbox, whatever its state, stands for it (log-draws.ts), and it is not
 * being deleted. `user` is an SQL expression, used twice.
 */
export function notSettledFor(user: string): string {
  return `NOT EXISTS (SELECT 1 FROM inbox i WHERE i.user_id = ${user} AND i.msg_id = l.msg_id)
    AND NOT EXISTS (
      SELECT 1 FROM read_receipts rr WHERE rr.msg_id = l.msg_id AND rr.reader_id = ${user})
    AND ${notInRemoval('l.msg_id')}`;
}
/** Users of one statement that notes that they are behind. */
const AWOKEN_PAGE = 1_000;
/** Users who appeared since a message was accepted and are told at once; the others the sweep tells. */
const MAX_AWOKEN = 1_000;

export interface Appended {
  /** Messages whose id another sender's or conversation's message has; nothing was stored for them. */
  readonly conflicting: ReadonlySet<SequencedMessage>;
  /** Present members who were not there yet when one of the messages was sent; not more than are told. */
  readonly awoken: readonly string[];
}

export class GroupLog {
  constructor(private readonly db: Database) {}

  /**
   * Appends messages of one (active) group in their order; those that are there already stay, those of
   * a sender who was erased, or that were erased themselves, are dropped.
   */
  async append(groupId: string, messages: readonly SequencedMessage[]): Promise<Appended> {
    const earliest = Math.min(...messages.map(({ acceptedAt }) => acceptedAt));
    const conflicting = await this.db.transaction(async (tx) => {
      const head = await lockGroup(tx, groupId);
      const erased = await erasedUsersAmong(
        tx,
        messages.map(({ senderId }) => senderId),
      );
      const entries = messages
        .filter(({ senderId }) => !erased.has(senderId))
        .map((message) => ({ message }));
      const { kept, conflicting } = await insertMessages(tx, entries);
      const good = kept.map(({ message }) => message);
      const added = await insertEntries(tx, groupId, await missing(tx, good), head);
      await tx.execute('UPDATE large_groups SET last_position = ? WHERE group_id = ?', [
        head + added,
        groupId,
      ]);
      // Under these locks nobody of them is taken for having everything before this is committed.
      await awaken(tx, groupId, earliest);
      return new Set([...conflicting].map(({ message }) => message));
    });
    // Again for who appeared during the transaction, and so neither saw its messages nor was seen by it.
    return { conflicting, awoken: await awaken(this.db, groupId, earliest) };
  }
}

/** Locks the group's row; returns its last position. */
export async function lockGroup(tx: Queryable, groupId: string): Promise<number> {
  const [row] = await tx.select<{ last_position: number }>(
    'SELECT last_position FROM large_groups WHERE group_id = ? FOR UPDATE',
    [groupId],
  );
  if (!row) throw new Error('the group is not a large one');
  return row.last_position;
}

async function missing(
  tx: Queryable,
  messages: readonly SequencedMessage[],
): Promise<SequencedMessage[]> {
  const present = new Set<string>();
  for (const piece of chunks(messages)) {
    const rows = await tx.select<{ msg_id: string }>(
      'SELECT msg_id FROM group_log WHERE msg_id IN (?)',
      [piece.map(({ msgId }) => msgId)],
    );
    for (const row of rows) present.add(row.msg_id);
  }
  return messages.filter(({ msgId }, i) => {
    const isFirst = messages.findIndex((other) => other.msgId === msgId) === i;
    return isFirst && !present.has(msgId);
  });
}

async function insertEntries(
  tx: Queryable,
  groupId: string,
  messages: readonly SequencedMessage[],
  head: number,
): Promise<number> {
  const rows = messages.map(({ msgId, senderId, acceptedAt }, i) => [
    groupId,
    head + i + 1,
    msgId,
    senderId,
    acceptedAt,
  ]);
  for (const piece of chunks(rows)) {
    await tx.execute(
      'INSERT INTO group_log (group_id, position, msg_id, sender_id, accepted_at) VALUES ?',
      [piece],
    );
  }
  return rows.length;
}

/**
 * Notes that something is yet to be delivered to members who appeared after `acceptedAt`; returns some of
 * them. To be noted is everyone: who is not would count as having everything when they go.
 */
async function awaken(on: Queryable, groupId: string, acceptedAt: number): Promise<string[]> {
  const told: string[] = [];
  for (let after: string | undefined = ''; after !== undefined;) {
    const page: { user_id: string }[] = await on.select<{ user_id: string }>(
      `SELECT r.user_id FROM group_readers r
       WHERE r.present_since > ? AND r.user_id > ? AND EXISTS (
         SELECT 1 FROM group_memberships g WHERE g.user_id = r.user_id AND g.group_id = ?)
       ORDER BY r.user_id LIMIT ?`,
      [acceptedAt - APPEAR_OVERLAP_MS, after, groupId, AWOKEN_PAGE],
    );
    const users = page.map((row) => row.user_id);
    await noteBehind(on, users);
    told.push(...users.slice(0, MAX_AWOKEN - told.length));
    after = users.length < AWOKEN_PAGE ? undefined : users.at(-1);
  }
  return told;
}

/** Notes of those of the users who are present that something may be yet to be delivered to them. */
export async function noteBehind(on: Queryable, userIds: readonly string[]): Promise<void> {
  for (const piece of chunks(userIds)) {
    await on.execute('UPDATE group_readers SET state = 1 WHERE user_id IN (?) AND state > 0', [
      piece,
    ]);
  }
}
