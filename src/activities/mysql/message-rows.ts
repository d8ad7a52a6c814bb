/** Rows of `messages`: written once for each `msg_id`, read back as messages. */
import type { Delivery } from '../../domain/inbox';
import { groupConversation, privateConversation } from '../../domain/ids';
import type { ConversationType } from '../../domain/ids';
import type { ContentEncoding, SequencedMessage } from '../../domain/message';
import { chunks } from './chunks';
import type { Queryable } from './database';
import { erasedAmong } from './erased-messages';

export interface MessageRow {
  msg_id: string;
  /** `null` for a private message. */
  group_id: string | null;
  sequence_number: number;
  sender_id: string;
  /** `null` for a group message. */
  recipient_id: string | null;
  content: string;
  content_encoding: ContentEncoding;
  metadata: string | null;
  timestamp: number;
  created_at: number;
  erased_at: number | null;
}

/** Columns of {@link MessageRow}, of the table named `m`. */
export const MESSAGE_COLUMNS = `m.msg_id, IF(m.recipient_id IS NULL, m.conversation_key, NULL) AS group_id,
  m.sequence_number, m.sender_id, m.recipient_id, m.content, m.content_encoding, m.metadata, m.timestamp,
  m.created_at, m.erased_at`;

/** What carries a message to insert; it is delivered already when there are devices. */
export interface MessageCarrier {
  readonly message: SequencedMessage;
  readonly deliveredAt?: number;
  readonly devices?: readonly string[];
}

/** What became of entries whose messages were inserted; those in neither were erased, for good. */
export interface Inserted<E> {
  /** Entries whose messages are stored, now or before. */
  readonly kept: readonly E[];
  /** Entries whose messages were certainly not stored before: rows were made of them. */
  readonly written: ReadonlySet<E>;
  /**
   * Entries whose id another sender's or conversation's message has: those are not stored, and nobody
   * may be pointed to the message that is.
   */
  readonly conflicting: ReadonlySet<E>;
}

/** Inserts each message that is not there yet, once; what is there stays as it is. */
export async function insertMessages<E extends MessageCarrier>(
  tx: Queryable,
  entries: readonly E[],
): Promise<Inserted<E>> {
  const distinct = new Map<string, E>();
  for (const entry of entries) {
    if (!distinct.has(entry.message.msgId)) distinct.set(entry.message.msgId, entry);
  }
  // Sorted: two transactions with the same messages then wait for each other in one direction only.
  const sorted = [...distinct.values()].sort((a, b) => compare(a.message.msgId, b.message.msgId));
  const written = new Set<E>();
  const doubtful: string[] = [];
  for (const piece of chunks(sorted, ({ message }) => message.content.length)) {
    const { affectedRows } = await tx.execute(
      `INSERT INTO messages (msg_id, conversation_type, conversation_key, sequence_number, sender_id,
         recipient_id, content, content_encoding, metadata, timestamp, created_at, delivered_at,
         delivered_devices)
       VALUES ? ON DUPLICATE KEY UPDATE msg_id = messages.msg_id`,
      [piece.map(toRow)],
    );
    if (affectedRows === piece.length) piece.forEach((entry) => written.add(entry));
    else doubtful.push(...piece.map(({ message }) => message.msgId));
  }
  const erased = await dropErased(tx, [...distinct.keys()]);
  await noteEarlyReads(tx, [...distinct.keys()]);
  const stored = await readNames(tx, doubtful);
  for (const { message } of written) stored.set(message.msgId, toName(message));
  const alive = entries.filter(({ message }) => !erased.has(message.msgId));
  const isKept = ({ message }: E): boolean => isSameMessage(message, stored.get(message.msgId));
  return {
    kept: alive.filter(isKept),
    written,
    conflicting: new Set(alive.filter((entry) => !isKept(entry))),
  };
}

/**
 * Drops the messages whose ids are erased. Asked after the inserts, whose locks a deletion waits for: it
 * listed the id before, and then it is seen here, or it removes what we inserted.
 */
async function dropErased(tx: Queryable, ids: readonly string[]): Promise<Set<string>> {
  const erased = await erasedAmong(tx, ids);
  if (erased.size > 0) await tx.execute('DELETE FROM messages WHERE msg_id IN (?)', [[...erased]]);
  return erased;
}

/** A reader may be faster than the record of the message: the receipt is there before the message. */
async function noteEarlyReads(tx: Queryable, ids: readonly string[]): Promise<void> {
  for (const piece of chunks(ids)) {
    const reads = await tx.select<{ msg_id: string; read_at: number }>(
      'SELECT msg_id, MIN(read_at) AS read_at FROM read_receipts WHERE msg_id IN (?) GROUP BY msg_id',
      [piece],
    );
    for (const { msg_id, read_at } of reads) {
      await tx.execute('UPDATE messages SET read_at = ? WHERE msg_id = ? AND read_at IS NULL', [
        read_at,
        msg_id,
      ]);
    }
  }
}

/**
 * Notes deliveries of stored messages that nearly all are first ones: in one statement, and only for
 * those it did not change (group messages among them) as {@link mergeDeliveries} does.
 */
export async function noteDeliveries(
  tx: Queryable,
  deliveries: readonly Delivery[],
): Promise<void> {
  for (const piece of chunks(deliveries)) {
    const { affectedRows } = await tx.execute(
      `UPDATE messages SET delivered_devices = ${caseOf(piece)}, delivered_at = ${caseOf(piece)}
       WHERE msg_id IN (?) AND conversation_type = 'private' AND delivered_at IS NULL`,
      [
        ...piece.flatMap(({ msgId, devices }) => [msgId, JSON.stringify(devices)]),
        ...piece.flatMap(({ msgId, deliveredAt }) => [msgId, deliveredAt]),
        piece.map(({ msgId }) => msgId),
      ],
    );
    if (affectedRows < piece.length) await mergeDeliveries(tx, piece);
  }
}

function caseOf(items: readonly unknown[]): string {
  return `CASE msg_id ${items.map(() => 'WHEN ? THEN ?').join(' ')} END`;
}

/** Notes deliveries of stored private messages: the first time stays, devices are united. */
export async function mergeDeliveries(
  tx: Queryable,
  deliveries: readonly Delivery[],
): Promise<void> {
  for (const piece of chunks(deliveries)) {
    const rows = await tx.select<{
      msg_id: string;
      delivered_at: number | null;
      delivered_devices: string | null;
    }>(
      `SELECT msg_id, delivered_at, delivered_devices FROM messages
       WHERE msg_id IN (?) AND conversation_type = 'private' ORDER BY msg_id FOR UPDATE`,
      [piece.map((delivery) => delivery.msgId)],
    );
    const known = new Map(rows.map((row) => [row.msg_id, row]));
    for (const delivery of piece) {
      const row = known.get(delivery.msgId);
      if (!row) continue;
      const before = devicesOf(row.delivered_devices);
      const devices = [...new Set([...before, ...delivery.devices])];
      if (row.delivered_at !== null && devices.length === before.length) continue;
      await tx.execute(
        'UPDATE messages SET delivered_at = ?, delivered_devices = ? WHERE msg_id = ?',
        [row.delivered_at ?? delivery.deliveredAt, JSON.stringify(devices), delivery.msgId],
      );
    }
  }
}

/** The message of a row. */
export function toMessage(row: MessageRow): SequencedMessage {
  return {
    msgId: row.msg_id,
    senderId: row.sender_id,
    conversation:
      row.recipient_id === null
        ? groupConversation(row.group_id ?? '')
        : privateConversation(row.sender_id, row.recipient_id),
    recipientId: row.recipient_id ?? undefined,
    content: row.content,
    encoding: row.content_encoding,
    timestamp: row.timestamp,
    metadata: row.metadata === null ? {} : (JSON.parse(row.metadata) as Record<string, string>),
    sequenceNumber: row.sequence_number,
    acceptedAt: row.created_at,
    erased: row.erased_at === null ? undefined : true,
  };
}

/** The devices of a `delivered_devices` column. */
export function devicesOf(column: string | null): string[] {
  return column === null ? [] : (JSON.parse(column) as string[]);
}

/** Any fixed order does; this one is the same in every process. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function toRow({ message, deliveredAt, devices }: MessageCarrier): (string | number | null)[] {
  const labels = Object.keys(message.metadata).length > 0 ? JSON.stringify(message.metadata) : null;
  return [
    message.msgId,
    message.conversation.type,
    message.conversation.key,
    message.sequenceNumber,
    message.senderId,
    message.recipientId ?? null,
    message.content,
    message.encoding ?? 'plain',
    labels,
    message.timestamp,
    message.acceptedAt,
    // Published to the gateways: that is as delivered as a group message can be (README).
    deliveredAt ?? (message.conversation.type === 'group' ? message.acceptedAt : null),
    devices ? JSON.stringify(devices) : null,
  ];
}

/** Whose message it is, and of which conversation. */
export interface MessageName {
  msg_id: string;
  sender_id: string;
  conversation_type: ConversationType;
  conversation_key: string;
}

function toName({ msgId, senderId, conversation }: SequencedMessage): MessageName {
  return {
    msg_id: msgId,
    sender_id: senderId,
    conversation_type: conversation.type,
    conversation_key: conversation.key,
  };
}

async function readNames(tx: Queryable, ids: readonly string[]): Promise<Map<string, MessageName>> {
  const names = new Map<string, MessageName>();
  for (const piece of chunks(ids)) {
    const rows = await tx.select<MessageName>(
      'SELECT msg_id, sender_id, conversation_type, conversation_key FROM messages WHERE msg_id IN (?)',
      [piece],
    );
    for (const row of rows) names.set(row.msg_id, row);
  }
  return names;
}

function isSameMessage(message: SequencedMessage, stored: MessageName | undefined): boolean {
  return (
    stored?.sender_id === message.senderId &&
    stored.conversation_type === message.conversation.type &&
    stored.conversation_key === message.conversation.key
  );
}
