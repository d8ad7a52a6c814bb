/** Messages as clients get them. */
import { z } from 'zod';
import type { SequencedMessage } from '../../domain/message';
import { conversationId, conversationType, messageId, time, userId } from '../rest/fields';

/** The spec's fields, and for a group message which group it is of. */
export const wireMessage = z.object({
  msg_id: messageId,
  sender_id: userId,
  recipient_id: userId.optional().describe('Not given for a group message in a history.'),
  content: z.string(),
  sequence_number: z.int(),
  timestamp: time.describe('When it was sent, unix ms, as the sender says.'),
  created_at: time.describe('When the service took it, unix ms.'),
  group_id: userId.optional(),
  conversation_type: conversationType.optional(),
  conversation_id: conversationId.optional(),
});

/** `recipientId`: who a group message waits for. */
export function toWire(
  message: SequencedMessage,
  recipientId?: string,
): z.input<typeof wireMessage> {
  const { conversation } = message;
  return {
    msg_id: message.msgId,
    sender_id: message.senderId,
    recipient_id: message.recipientId ?? recipientId,
    content: message.content,
    sequence_number: message.sequenceNumber,
    timestamp: message.timestamp,
    created_at: message.acceptedAt,
    ...(conversation.type === 'group' && {
      group_id: conversation.key,
      conversation_type: conversation.type,
      conversation_id: conversation.id,
    }),
  };
}
