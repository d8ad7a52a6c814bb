/**
 * The JSON of `offline_msg` (contracts.md) and of our own `private_msg`: one writer, one reader.
 *
 * Beyond the contract both carry `created_at` (unix ms, when we took the message), `private_msg` also
 * `recipient_id`, `devices` and `delivered_at` (architecture §3). `content_encoding` says "jwe" when
 * `content` is encrypted; without it `content` is plain, whatever it looks like.
 */
import {
  groupConversation,
  idProblem,
  MAX_MESSAGE_ID_BYTES,
  MAX_USER_ID_BYTES,
  privateConversation,
} from './ids';
import type { DeliveredEntry, OfflineEntry } from './inbox';
import type { ContentEncoding, SequencedMessage } from './message';

/** A record that is not what its topic promises; the reason names the field, never its content. */
export class PoisonRecordError extends Error {
  override readonly name = 'PoisonRecordError';
}

/** The value on `offline_msg` for one recipient, who is also its key. */
export function encodeOffline(message: SequencedMessage, userId: string): string {
  return encode(message, userId, undefined);
}

/** The value on `private_msg`; its key is the conversation's. */
export function encodeDelivered(entry: DeliveredEntry): string {
  const { recipientId } = entry.message;
  if (recipientId === undefined) throw new Error('a group message is not for private_msg');
  return encode(entry.message, recipientId, entry);
}

function encode(
  message: SequencedMessage,
  userId: string,
  delivered: DeliveredEntry | undefined,
): string {
  return JSON.stringify({
    msg_id: message.msgId,
    user_id: userId,
    sender_id: message.senderId,
    conversation_id: message.conversation.id,
    conversation_type: message.conversation.type,
    content: message.content,
    content_encoding: message.encoding,
    sequence_number: message.sequenceNumber,
    timestamp: message.timestamp,
    created_at: message.acceptedAt,
    metadata: message.metadata,
    recipient_id: delivered && userId,
    devices: delivered?.devices,
    delivered_at: delivered?.deliveredAt,
  });
}

/** Reads a value of `offline_msg`; throws {@link PoisonRecordError}. */
export function decodeOffline(value: string): OfflineEntry {
  const fields = parseObject(value);
  const userId = id(fields, 'user_id', MAX_USER_ID_BYTES);
  return { message: readMessage(fields, userId), recipients: [userId] };
}

/** Reads a value of `private_msg`; throws {@link PoisonRecordError}. */
export function decodeDelivered(value: string): DeliveredEntry {
  const fields = parseObject(value);
  const message = readMessage(fields, id(fields, 'user_id', MAX_USER_ID_BYTES));
  if (message.recipientId === undefined) throw new PoisonRecordError('a group message');
  const devices = fields['devices'];
  if (!Array.isArray(devices) || !devices.every((d) => typeof d === 'string')) {
    throw new PoisonRecordError('devices is not a list of texts');
  }
  return { message, devices, deliveredAt: wholeNumber(fields, 'delivered_at') };
}

export type Fields = Record<string, unknown>;

function readMessage(fields: Fields, userId: string): SequencedMessage {
  const senderId = id(fields, 'sender_id', MAX_USER_ID_BYTES);
  const timestamp = wholeNumber(fields, 'timestamp');
  const { conversation, recipientId } = placeOf(fields, senderId, userId);
  return {
    msgId: id(fields, 'msg_id', MAX_MESSAGE_ID_BYTES),
    senderId,
    conversation,
    recipientId,
    content: text(fields, 'content'),
    encoding: encodingOf(fields['content_encoding']),
    sequenceNumber: wholeNumber(fields, 'sequence_number'),
    timestamp,
    acceptedAt: fields['created_at'] === undefined ? timestamp : wholeNumber(fields, 'created_at'),
    metadata: metadataOf(fields['metadata']),
  };
}

/** A private conversation is named by its users, never by `conversation_id`, which is ambiguous. */
function placeOf(
  fields: Fields,
  senderId: string,
  userId: string,
): Pick<SequencedMessage, 'conversation' | 'recipientId'> {
  const type = fields['conversation_type'];
  if (type === 'private') {
    return { conversation: privateConversation(senderId, userId), recipientId: userId };
  }
  if (type === 'group') {
    return { conversation: groupConversation(id(fields, 'conversation_id', MAX_USER_ID_BYTES)) };
  }
  throw new PoisonRecordError('conversation_type is neither private nor group');
}

/** The object a value is; throws {@link PoisonRecordError}. */
export function parseObject(value: string): Fields {
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

/** A field that must be a text. */
export function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string') throw new PoisonRecordError(`${name} is not a text`);
  return value;
}

/** A field that must be an id of at most so many bytes. */
export function id(fields: Fields, name: string, maxBytes: number): string {
  const value = text(fields, name);
  const problem = idProblem(value, maxBytes);
  if (problem) throw new PoisonRecordError(`${name} ${problem}`);
  return value;
}

/** A field that must be a whole number from 0. */
export function wholeNumber(fields: Fields, name: string): number {
  const value = fields[name];
  if (!Number.isSafeInteger(value) || (value as number) < 0) {
    throw new PoisonRecordError(`${name} is not a whole number from 0`);
  }
  return value as number;
}

function encodingOf(value: unknown): ContentEncoding {
  if (value === undefined || value === 'plain') return 'plain';
  if (value === 'jwe') return 'jwe';
  throw new PoisonRecordError('content_encoding is neither plain nor jwe');
}

function metadataOf(value: unknown): Record<string, string> {
  if (value === undefined || value === null) return {};
  const isTexts =
    typeof value === 'object' && Object.values(value).every((v) => typeof v === 'string');
  if (!isTexts) throw new PoisonRecordError('metadata is not an object of texts');
  return value as Record<string, string>;
}
