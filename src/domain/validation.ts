/** What a message must be before anything is done with it. Pure; the clock is passed in. */
import { ImError } from './errors';
import {
  groupConversation,
  idProblem,
  MAX_MESSAGE_ID_BYTES,
  MAX_USER_ID_BYTES,
  privateConversation,
} from './ids';
import type { Conversation } from './ids';
import type { Message } from './message';

/** Spec, MESSAGE_TOO_LARGE: "Message content > 10KB", in bytes of UTF-8. */
export const MAX_CONTENT_BYTES = 10_240;
/** Keys and values together, bytes of UTF-8: metadata is for labels, not a second content. */
export const MAX_METADATA_BYTES = 8_192;
/** Entries; enough for tracing headers and a few of the client's own. */
export const MAX_METADATA_ENTRIES = 128;
/** How far a sender's clock may run ahead, ms. */
export const MAX_CLOCK_AHEAD_MS = 24 * 60 * 60 * 1000;

/** The fields both Route requests share. */
export interface RawMessage {
  readonly msg_id: string;
  readonly sender_id: string;
  readonly content: string;
  readonly timestamp: number;
  readonly metadata: Record<string, string>;
  /** Set by the decoder when a string field was not valid UTF-8. */
  readonly invalidUtf8?: boolean;
}

/** A valid private message, or throws an `ImError` that says what is wrong. */
export function validatePrivate(raw: RawMessage & { recipient_id: string }, now: number): Message {
  validateCommon(raw, now);
  const problem = idProblem(raw.recipient_id, MAX_USER_ID_BYTES);
  if (problem) throw new ImError('INVALID_RECIPIENT', `recipient_id ${problem}`);
  if (raw.recipient_id === raw.sender_id) {
    throw new ImError('INVALID_RECIPIENT', 'sender and recipient are the same user');
  }
  const conversation = privateConversation(raw.sender_id, raw.recipient_id);
  return toMessage(raw, now, conversation, raw.recipient_id);
}

/** A valid group message, or throws an `ImError` that says what is wrong. */
export function validateGroup(raw: RawMessage & { group_id: string }, now: number): Message {
  validateCommon(raw, now);
  const problem = idProblem(raw.group_id, MAX_USER_ID_BYTES);
  if (problem) throw new ImError('INVALID_RECIPIENT', `group_id ${problem}`);
  return toMessage(raw, now, groupConversation(raw.group_id), undefined);
}

function toMessage(
  raw: RawMessage,
  now: number,
  conversation: Conversation,
  recipientId: string | undefined,
): Message {
  return {
    msgId: raw.msg_id,
    senderId: raw.sender_id,
    conversation,
    recipientId,
    content: raw.content,
    // proto3 cannot tell 0 from "not given": the message was sent now.
    timestamp: raw.timestamp === 0 ? now : raw.timestamp,
    metadata: raw.metadata,
  };
}

function validateCommon(raw: RawMessage, now: number): void {
  if (raw.invalidUtf8) throw new ImError('ROUTING_FAILED', 'a text field is not valid UTF-8');
  const id = idProblem(raw.msg_id, MAX_MESSAGE_ID_BYTES);
  if (id) throw new ImError('ROUTING_FAILED', `msg_id ${id}`);
  const sender = idProblem(raw.sender_id, MAX_USER_ID_BYTES);
  if (sender) throw new ImError('ROUTING_FAILED', `sender_id ${sender}`);
  // Most messages are short: a UTF-16 unit is at most 3 bytes, so only long ones are counted.
  if (raw.content.length * 3 > MAX_CONTENT_BYTES) {
    const bytes = Buffer.byteLength(raw.content);
    if (bytes > MAX_CONTENT_BYTES) {
      throw new ImError(
        'MESSAGE_TOO_LARGE',
        `content is ${bytes} bytes, at most ${MAX_CONTENT_BYTES}`,
      );
    }
  }
  validateTimestamp(raw.timestamp, now);
  validateMetadata(raw.metadata);
}

function validateTimestamp(timestamp: number, now: number): void {
  if (timestamp < 0) throw new ImError('ROUTING_FAILED', 'timestamp is negative');
  if (timestamp > now + MAX_CLOCK_AHEAD_MS) {
    throw new ImError('ROUTING_FAILED', 'timestamp is more than a day ahead (is it in ms?)');
  }
}

function validateMetadata(metadata: Record<string, string>): void {
  let entries = 0;
  let bytes = 0;
  for (const key in metadata) {
    entries += 1;
    bytes += Buffer.byteLength(key) + Buffer.byteLength(metadata[key] ?? '');
  }
  if (entries > MAX_METADATA_ENTRIES) {
    throw new ImError(
      'MESSAGE_TOO_LARGE',
      `metadata has ${entries} entries, at most ${MAX_METADATA_ENTRIES}`,
    );
  }
  if (bytes > MAX_METADATA_BYTES) {
    throw new ImError(
      'MESSAGE_TOO_LARGE',
      `metadata is ${bytes} bytes, at most ${MAX_METADATA_BYTES}`,
    );
  }
}
