/** Rows of `messages`: written once for each `msg_id`, read back as messages. */
import type { Delivery } from '../../domain/inbox';
import { groupConversation, privateConversation } from '../../domain/ids';
import type { OfflineRecord } from '../../domain/records';
import { chunks } from './chunks';
import type { Queryable } from './database';

export interface MessageRow {
  msg_id: string;
  conversation_type: 'private' | 'group';
  conversation_key: string;
  sequence_number: number;
  sender_id: string;
  recipient_id: string | null;
  content: string;
  metadata: string | null;
  timestamp: number;
  created_at: number;
}

/** Columns of {@link MessageRow}, of the table named `m`. */
export const MESSAGE_COLUMNS = `m.msg_id, m.conversation_type, m.conversation_key, m.sequence_number,
  m.sender_id, m.recipient_id, m.content, m.metadata, m.timestamp, m.created_at`;

/** A message to insert; delivered already when it has devices. */
export type NewMessage = OfflineRecord & Partial<Omit<Delivery, 'msgId'>>;

/**
 * Inserts each message that is not there yet, once; what is there stays as it is. Returns the records
 * whose id another sender's or conversation's message has: those are not stored, and nobody may be
 * pointed to the message that is.
 */
export async function insertMessages<R extends NewMessage>(
  tx: Queryable,
  records: readonly R[],
): Promise<Set<R>> {
  const distinct = new Map<string, R>();
  for (const record of records) {
    if (!distinct.has(record.msgId)) distinct.set(record.msgId, record);
  }
  // Sorted: two transactions with the same messages then wait for each other in one direction only.
  const sorted = [...distinct.values()].sort((a, b) => compare(a.msgId, b.msgId));
  for (const piece of chunks(sorted, (message) => message.content.length)) {
    await tx.execute(
      `INSERT INTO messages (msg_id, conversation_type, conversation_key, sequence_number, sender_id,
         recipient_id, content, metadata, timestamp, created_at, delivered_at, delivered_devices)
       VALUES ? ON DUPLICATE KEY UPDATE msg_id = messages.msg_id`,
      [piece.map(toRow)],
    );
  }
  const stored = await readNames(tx, [...distinct.keys()]);
  return new Set(records.filter((record) => !isSameMessage(record, stored.get(record.msgId))));
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

/** The message of a row, as `userId` gets it. */
export function toRecord(row: MessageRow, userId: string): OfflineRecord {
  return {
    msgId: row.msg_id,
    userId,
    senderId: row.sender_id,
    conversation:
      row.recipient_id === null
        ? groupConversation(row.conversation_key)
        : privateConversation(row.sender_id, row.recipient_id),
    content: row.content,
    sequenceNumber: row.sequence_number,
    timestamp: row.timestamp,
    createdAt: row.created_at,
    metadata: row.metadata === null ? {} : (JSON.parse(row.metadata) as Record<string, string>),
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

function toRow(message: NewMessage): (string | number | null)[] {
  const labels = Object.keys(message.metadata).length > 0 ? JSON.stringify(message.metadata) : null;
  return [
    message.msgId,
    message.conversation.type,
    message.conversation.key,
    message.sequenceNumber,
    message.senderId,
    message.conversation.type === 'private' ? message.userId : null,
    message.content,
    labels,
    message.timestamp,
    message.createdAt,
    message.deliveredAt ?? null,
    message.devices ? JSON.stringify(message.devices) : null,
  ];
}

type Name = Pick<MessageRow, 'msg_id' | 'sender_id' | 'conversation_type' | 'conversation_key'>;

async function readNames(tx: Queryable, ids: readonly string[]): Promise<Map<string, Name>> {
  const names = new Map<string, Name>();
  for (const piece of chunks(ids)) {
    const rows = await tx.select<Name>(
      'SELECT msg_id, sender_id, conversation_type, conversation_key FROM messages WHERE msg_id IN (?)',
      [piece],
    );
    for (const row of rows) names.set(row.msg_id, row);
  }
  return names;
}

function isSameMessage(record: OfflineRecord, stored: Name | undefined): boolean {
  return (
    stored?.sender_id === record.senderId &&
    stored.conversation_type === record.conversation.type &&
    stored.conversation_key === record.conversation.key
  );
}
