/** Conversations as their members see them: history by sequence number, and what is unread. */
import { conversationOf } from '../../domain/ids';
import type { Conversation, ConversationType } from '../../domain/ids';
import type { SequencedMessage } from '../../domain/message';
import type { MessageFacts } from '../../domain/receipts';
import { Coalescer } from '../coalescer';
import { MAX_ROWS } from './chunks';
import type { Database } from './database';
import { notInRemoval } from './erased-messages';
import { MESSAGE_COLUMNS, toMessage } from './message-rows';
import type { MessageRow } from './message-rows';

/** A message that a member has not read. */
export interface UnreadMessage extends MessageFacts {
  readonly sequenceNumber: number;
}

/** A conversation, and when its member joined: what was accepted before (unix ms) is not for them. */
export interface SeenSince {
  readonly conversation: Conversation;
  readonly since: number;
}

/** How many messages of a conversation a member has not read. */
export interface UnreadCount {
  readonly conversation: Conversation;
  readonly count: number;
}

/** Groups of one user that are counted; more are not told. */
export const MAX_GROUPS = 200;
/** Unread messages of a group that are counted: more are told as this many. */
const MAX_COUNTED = 100_000;
/** How many numbers later a message may have been accepted than one with a higher number. */
const MAX_DISORDER = 1_000;
/** Messages whose facts are asked for in one statement, and those that may wait for the next. */
const MAX_FACTS = 200;
const MAX_FACTS_QUEUED = 5_000;

export class Conversations {
  private readonly factsAsked: Coalescer<string, MessageFacts | undefined>;

  constructor(private readonly db: Database) {
    this.factsAsked = new Coalescer({
      run: (msgIds) => this.factsOf(msgIds),
      maxBatch: MAX_FACTS,
      maxQueued: MAX_FACTS_QUEUED,
    });
  }

  /**
   * Who wrote a stored message, and where; `undefined` when it is not stored, or was erased. Asked
   * together with those that are asked for at the same time.
   */
  facts(msgId: string): Promise<MessageFacts | undefined> {
    return this.factsAsked.add(msgId);
  }

  private async factsOf(msgIds: readonly string[]): Promise<(MessageFacts | undefined)[]> {
    const rows = await this.db.select<FactsRow>(
      `SELECT msg_id AS msgId, sender_id AS senderId, conversation_type AS type,
         conversation_key AS \`key\`, created_at AS acceptedAt
       FROM messages WHERE msg_id IN (?) AND erased_at IS NULL`,
      [msgIds],
    );
    const known = new Map<string, MessageFacts>();
    for (const { msgId, senderId, acceptedAt, type, key } of rows) {
      known.set(msgId, { msgId, senderId, acceptedAt, conversation: conversationOf(type, key) });
    }
    return msgIds.map((msgId) => known.get(msgId));
  }

  /** Those of the private conversations, by their keys, of which any message is stored. */
  async existingPrivate(keys: readonly string[]): Promise<string[]> {
    const rows = await this.db.select<{ key: string }>(
      `SELECT DISTINCT conversation_key AS \`key\` FROM messages
       WHERE conversation_type = 'private' AND conversation_key IN (?)`,
      [keys],
    );
    return rows.map((row) => row.key);
  }

  /** Whether any message of the conversation is stored. */
  async exists({ type, key }: Conversation): Promise<boolean> {
    const rows = await this.db.select(
      'SELECT 1 FROM messages WHERE conversation_type = ? AND conversation_key = ? LIMIT 1',
      [type, key],
    );
    return rows.length > 0;
  }

  /** The first `limit` messages for the member with a sequence number above `afterSequence`. */
  async messagesAfter(
    userId: string,
    seen: SeenSince,
    afterSequence: number,
    limit: number,
  ): Promise<SequencedMessage[]> {
    const { type, key } = seen.conversation;
    const rows = await this.db.select<MessageRow>(
      `SELECT ${MESSAGE_COLUMNS} FROM messages m FORCE INDEX (ix_messages_conversation)
       WHERE m.conversation_type = ? AND m.conversation_key = ? AND m.sequence_number > ?
         AND m.created_at >= ? AND ${SHOWN_TO}
       ORDER BY m.sequence_number LIMIT ?`,
      [type, key, await this.startAfter(seen, afterSequence), seen.since, userId, limit],
    );
    return rows.map(toMessage);
  }

  /**
   * A sequence number, `after` or higher, up to which all was accepted before the member joined; found by
   * halving, so that a long past costs them nothing.
   */
  private async startAfter({ conversation, since }: SeenSince, after: number): Promise<number> {
    if (since === 0) return after;
    const first = await this.nextAfter(conversation, after);
    if (!first || first.createdAt >= since) return after;
    let [low, high] = [first.sequenceNumber, (await this.lastSequence(conversation)) + 1];
    while (high - low > MAX_DISORDER) {
      const middle = Math.floor((low + high) / 2);
      const next = await this.nextAfter(conversation, middle - 1);
      if (next && next.createdAt < since) low = Math.max(middle, next.sequenceNumber);
      else high = middle;
    }
    return Math.max(after, low - MAX_DISORDER);
  }

  private async nextAfter(
    { type, key }: Conversation,
    after: number,
  ): Promise<{ sequenceNumber: number; createdAt: number } | undefined> {
    const [row] = await this.db.select<{ sequenceNumber: number; createdAt: number }>(
      `SELECT sequence_number AS sequenceNumber, created_at AS createdAt
       FROM messages FORCE INDEX (ix_messages_conversation)
       WHERE conversation_type = ? AND conversation_key = ? AND sequence_number > ?
       ORDER BY sequence_number LIMIT 1`,
      [type, key, after],
    );
    return row;
  }

  /** The highest sequence number stored, 0 when there is none. */
  async lastSequence({ type, key }: Conversation): Promise<number> {
    const [row] = await this.db.select<{ n: number | null }>(
      `SELECT MAX(sequence_number) AS n FROM messages
       WHERE conversation_type = ? AND conversation_key = ?`,
      [type, key],
    );
    return row?.n ?? 0;
  }

  /** How far a member has read a group, 0 when they never said. */
  async groupReadUpTo(userId: string, groupId: string): Promise<number> {
    const [row] = await this.db.select<{ n: number }>(
      'SELECT up_to_sequence AS n FROM group_reads WHERE user_id = ? AND group_id = ?',
      [userId, groupId],
    );
    return row?.n ?? 0;
  }

  /** Raises how far a member has read; it never falls. */
  async raiseGroupRead(userId: string, groupId: string, to: number): Promise<void> {
    await this.db.execute(
      `INSERT INTO group_reads (user_id, group_id, up_to_sequence) VALUES (?, ?, ?)
       ON DUPLICATE KEY UPDATE up_to_sequence = GREATEST(up_to_sequence, VALUES(up_to_sequence))`,
      [userId, groupId, to],
    );
  }

  /** The first unread messages to the user in a private conversation, up to a sequence number. */
  async unreadInPrivate(
    userId: string,
    conversation: Conversation,
    upTo: number,
  ): Promise<UnreadMessage[]> {
    const rows = await this.db.select<UnreadRow>(
      `SELECT ${UNREAD_COLUMNS} FROM messages m FORCE INDEX (ix_messages_unread)
       WHERE m.recipient_id = ? AND m.read_at IS NULL AND m.erased_at IS NULL
         AND m.conversation_key = ? AND m.sequence_number <= ? AND ${SHOWN_TO}
       ORDER BY m.sequence_number LIMIT ${MAX_ROWS}`,
      [userId, conversation.key, upTo, userId],
    );
    return rows.map((row) => Object.assign(row, { conversation }));
  }

  /** The first messages of others in (after, upTo] of a group that the member has not read. */
  async unreadInGroup(
    userId: string,
    seen: SeenSince,
    after: number,
    upTo: number,
  ): Promise<UnreadMessage[]> {
    const { conversation, since } = seen;
    const rows = await this.db.select<UnreadRow>(
      `SELECT ${UNREAD_COLUMNS} FROM messages m FORCE INDEX (ix_messages_conversation)
       WHERE m.conversation_type = 'group' AND m.conversation_key = ?
         AND m.sequence_number > ? AND m.sequence_number <= ? AND m.created_at >= ?
         AND m.sender_id <> ? AND m.erased_at IS NULL AND ${NOT_READ_BY} AND ${SHOWN_TO}
       ORDER BY m.sequence_number LIMIT ${MAX_ROWS}`,
      [conversation.key, await this.startAfter(seen, after), upTo, since, userId, userId, userId],
    );
    return rows.map((row) => Object.assign(row, { conversation }));
  }

  /** The private conversations with messages that the user has not read. */
  async unreadPrivate(userId: string): Promise<UnreadCount[]> {
    const rows = await this.db.select<{ key: string; n: number }>(
      `SELECT conversation_key AS \`key\`, COUNT(*) AS n
       FROM messages m FORCE INDEX (ix_messages_unread)
       WHERE m.recipient_id = ? AND m.read_at IS NULL AND m.erased_at IS NULL AND ${SHOWN_TO}
       GROUP BY conversation_key ORDER BY conversation_key`,
      [userId, userId],
    );
    return rows.map(({ key, n }) => ({ conversation: conversationOf('private', key), count: n }));
  }

  /** The large groups of the user, and those of which they have read something or had to wait for it. */
  async groupsOf(userId: string): Promise<string[]> {
    const rows = await this.db.select<{ key: string }>(
      `SELECT group_id AS \`key\` FROM group_reads WHERE user_id = ?
       UNION
       SELECT group_id FROM group_memberships WHERE user_id = ? AND left_at IS NULL
       UNION
       SELECT m.conversation_key FROM inbox i JOIN messages m ON m.msg_id = i.msg_id
       WHERE i.user_id = ? AND m.conversation_type = 'group'
       LIMIT ${MAX_GROUPS}`,
      [userId, userId, userId],
    );
    return rows.map((row) => row.key);
  }

  /**
   * Messages of a group that a member has not read: of a large one since they joined, of a small one from
   * the first that they had to wait for. Beyond {@link MAX_COUNTED} they are not counted.
   */
  async countUnreadInGroup(userId: string, seen: SeenSince): Promise<number> {
    const { conversation, since } = seen;
    const from = await this.startAfter(seen, await this.unreadFrom(userId, conversation.key));
    const [row] = await this.db.select<{ n: number }>(
      `SELECT COUNT(*) AS n FROM (
         SELECT 1 FROM messages m FORCE INDEX (ix_messages_conversation)
         WHERE m.conversation_type = 'group' AND m.conversation_key = ? AND m.sequence_number > ?
           AND m.created_at >= ? AND m.sender_id <> ? AND m.erased_at IS NULL AND ${NOT_READ_BY} AND ${SHOWN_TO}
         LIMIT ${MAX_COUNTED}) AS unread`,
      [conversation.key, from, since, userId, userId, userId],
    );
    return row?.n ?? 0;
  }

  private async unreadFrom(userId: string, groupId: string): Promise<number> {
    const [row] = await this.db.select<{
      upTo: number | null;
      isLarge: number;
      first: number | null;
    }>(
      `SELECT
         (SELECT up_to_sequence FROM group_reads WHERE user_id = ? AND group_id = ?) AS upTo,
         EXISTS (SELECT 1 FROM large_groups WHERE group_id = ?) AS isLarge,
         (SELECT MIN(m.sequence_number) FROM inbox i JOIN messages m ON m.msg_id = i.msg_id
          WHERE i.user_id = ? AND m.conversation_type = 'group' AND m.conversation_key = ?) AS first`,
      [userId, groupId, groupId, userId, groupId],
    );
    return row?.upTo ?? (row?.isLarge === 0 && row.first ? row.first - 1 : 0);
  }
}

interface FactsRow extends Omit<MessageFacts, 'conversation'> {
  readonly type: ConversationType;
  readonly key: string;
}

type UnreadRow = Omit<UnreadMessage, 'conversation'>;

const UNREAD_COLUMNS = `m.msg_id AS msgId, m.sender_id AS senderId, m.created_at AS acceptedAt,
  m.sequence_number AS sequenceNumber`;

const NOT_READ_BY = `NOT EXISTS (SELECT 1 FROM read_receipts r
  WHERE r.msg_id = m.msg_id AND r.reader_id = ?)`;

/** They have not deleted it for themself, and it is not being deleted for everybody. */
const SHOWN_TO = `NOT EXISTS (SELECT 1 FROM hidden_messages h
  WHERE h.msg_id = m.msg_id AND h.user_id = ?) AND ${notInRemoval('m.msg_id')}`;
