/** The JSON of `group_msg` and `membership_change` (contracts.md). */
import { groupConversation, MAX_MESSAGE_ID_BYTES, MAX_USER_ID_BYTES } from './ids';
import { messageType, metadataOfType } from './message';
import type { SequencedMessage } from './message';
import { id, parseObject, PoisonRecordError, text, wholeNumber } from './records';
import type { MembershipChange } from './roster';

/** The value on `group_msg`; its key is the group id. */
export function encodeGroup(message: SequencedMessage): string {
  return JSON.stringify({
    msg_id: message.msgId,
    group_id: message.conversation.id,
    sender_id: message.senderId,
    content: message.content,
    message_type: messageType(message.metadata),
    sequence_number: message.sequenceNumber,
    timestamp: message.timestamp,
  });
}

/**
 * Reads a value of `group_msg`; throws {@link PoisonRecordError}. When we took the message is the time of
 * its record, which the server sets: `timestamp` is the sender's word.
 */
export function decodeGroup(value: string, acceptedAt: number): SequencedMessage {
  const fields = parseObject(value);
  return {
    msgId: id(fields, 'msg_id', MAX_MESSAGE_ID_BYTES),
    conversation: groupConversation(id(fields, 'group_id', MAX_USER_ID_BYTES)),
    senderId: id(fields, 'sender_id', MAX_USER_ID_BYTES),
    content: text(fields, 'content'),
    metadata: metadataOfType(text(fields, 'message_type')),
    sequenceNumber: wholeNumber(fields, 'sequence_number'),
    timestamp: wholeNumber(fields, 'timestamp'),
    acceptedAt,
  };
}

/** Reads a value of `membership_change`; throws {@link PoisonRecordError}. */
export function decodeMembership(value: string): MembershipChange {
  const fields = parseObject(value);
  const type = text(fields, 'event_type');
  if (type !== 'join' && type !== 'leave') {
    throw new PoisonRecordError('event_type is neither join nor leave');
  }
  return {
    groupId: id(fields, 'group_id', MAX_USER_ID_BYTES),
    userId: id(fields, 'user_id', MAX_USER_ID_BYTES),
    type,
    at: wholeNumber(fields, 'timestamp'),
  };
}
