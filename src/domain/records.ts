/**
 * The JSON of `offline_msg` (contracts.md) and of our own `private_msg`: one writer, one reader.
 *
 * Beyond the contract both carry `created_at` (unix ms, when we took the message), `private_msg` also
 * `recipient_id`, `devices` and `delivered_at` (architecture §3).
 */
import {
  groupConversation,
  idProblem,
  MAX_MESSAGE_ID_BYTES,
  MAX_USER_ID_BYTES,
  privateConversation,
} from './ids';
import type { Conversation } from './ids';
import type { SequencedMessage } from './message';

/** A message for one recipient who was not reached. Times are unix ms. */
export interface OfflineRecord {
  readonly msgId: string;
  /** The recipient. */
  readonly userId: string;
  readonly senderId: string;
  readonly conversation: Conversation;
  readonly content: string;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly createdAt: number;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A private message that reached devices of its recipient. */
export interface DeliveredRecord extends OfflineRecord {
  readonly devices: readonly string[];
  readonly deliveredAt: number;
}

/** A record that is not what its topic promises; the reason names the field, never its content. */
export class PoisonRecordError extends Error {
  override readonly name = 'PoisonRecordError';
}

/** The record of a private message. */
export function offlineRecord(message: SequencedMessage & { recipientId: string }): OfflineRecord {
  const { msgId, recipientId, senderId, conversation, content, sequenceNumber } = message;
  const { timestamp, acceptedAt: createdAt, metadata } = message;
  return {
    msgId,
    userId: recipientId,
    senderId,
    conversation,
    content,
    sequenceNumber,
    timestamp,
    createdAt,
    metadata,
  };
}

/** The value on `offline_msg`; its key is the recipient. */
export function encodeOffline(record: OfflineRecord): string {
  return JSON.stringify(fieldsOf(record));
}

/** The value on `private_msg`; its key is the conversation's. */
export function encodeDelivered(record: DeliveredRecord): string {
  return JSON.stringify({
    ...fieldsOf(record),
    recipient_id: record.userId,
    devices: record.devices,
    delivered_at: record.deliveredAt,
  });
}

function fieldsOf(record: OfflineRecord): object {
  return {
    msg_id: record.msgId,
    user_id: record.userId,
    sender_id: record.senderId,
    conversation_id: record.conversation.id,
    conversation_type: record.conversation.type,
    content: record.content,
    sequence_number: record.sequenceNumber,
    timestamp: record.timestamp,
    created_at: record.createdAt,
    metadata: record.metadata,
  };
}

/** Reads a value of `offline_msg`; throws {@link PoisonRecordError}. */
export function decodeOffline(value: string): OfflineRecord {
  return readOffline(parseObject(value));
}

/** Reads a value of `private_msg`; throws {@link PoisonRecordError}. */
export function decodeDelivered(value: string): DeliveredRecord {
  const fields = parseObject(value);
  const devices = fields['devices'];
  if (!Array.isArray(devices) || !devices.every((d) => typeof d === 'string')) {
    throw new PoisonRecordError('devices is not a list of texts');
  }
  return { ...readOffline(fields), devices, deliveredAt: time(fields, 'delivered_at') };
}

type Fields = Record<string, unknown>;

function readOffline(fields: Fields): OfflineRecord {
  const userId = id(fields, 'user_id', MAX_USER_ID_BYTES);
  const senderId = id(fields, 'sender_id', MAX_USER_ID_BYTES);
  const timestamp = time(fields, 'timestamp');
  return {
    msgId: id(fields, 'msg_id', MAX_MESSAGE_ID_BYTES),
    userId,
    senderId,
    conversation: conversationOf(fields, userId, senderId),
    content: text(fields, 'content'),
    sequenceNumber: time(fields, 'sequence_number'),
    timestamp,
    createdAt: fields['created_at'] === undefined ? timestamp : time(fields, 'created_at'),
    metadata: metadataOf(fields['metadata']),
  };
}

/** A private conversation is named by its users, never by `conversation_id`, which is ambiguous. */
function conversationOf(fields: Fields, userId: string, senderId: string): Conversation {
  const type = fields['conversation_type'];
  if (type === 'private') return privateConversation(senderId, userId);
  if (type === 'group') return groupConversation(id(fields, 'conversation_id', MAX_USER_ID_BYTES));
  throw new PoisonRecordError('conversation_type is neither private nor group');
}

function parseObject(value: string): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(value);
  } catch (error) {
    // The parser's own message quotes the value, which is content.
    throw new PoisonRecordError('the value is not JSON', { cause: (error as Error).name });
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw new PoisonRecordError('the value is not a JSON object');
  }
  return parsed as Fields;
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new PoisonRecordError(`${name} is not a text`);
  return value;
}

function id(fields: Fields, name: string, maxBytes: number): string {
  const value = text(fields, name);
  const problem = idProblem(value, maxBytes);
  if (problem) throw new PoisonRecordError(`${name} ${problem}`);
  return value;
}

function time(fields: Fields, name: string): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new PoisonRecordError(`${name} is not a whole number from 0`);
  }
  return value as number;
}

function metadataOf(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  const isTexts =
    typeof value === 'object' && Object.values(value).every((v) => typeof v === 'string');
  if (!isTexts) throw new PoisonRecordError('metadata is not an object of texts');
  return value as Record<string, string>;
}
