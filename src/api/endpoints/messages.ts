/** Messages as clients get them. */
import { z } from 'zod';
import type { OpenedMessage } from '../../domain/encryption';
import { conversationId, conversationType, messageId, time, userId } from '../rest/fields';

/** The spec's fields, and for a group message which group it is of. */
export const wireMessage = z.object({
  msg_id: messageId,
  sender_id: userId,
  recipient_id: userId.optional().describe('Not given for a group message in a history.'),
  content: z.string().describe('Empty when the message cannot be read any more.'),
  unreadable: z
    .enum(['keyless', 'tampered', 'erased'])
    .optional()
    .describe(
      'Why the content is empty: its key was destroyed, it is not what was stored, or its sender ' +
        'was erased.',
    ),
  sequence_number: z.int(),
  timestamp: time.describe('When it was sent, unix ms, as the sender says.'),
  created_at: time.describe('When the service took it, unix ms.'),
  group_id: userId.optional(),
  conversation_type: conversationType.optional(),
  conversation_id: conversationId.optional(),
});

/** `recipientId`: who a group message waits for. */
export function toWire(message: OpenedMessage, recipientId?: string): z.input<typeof wireMessage> {
  const { conversation } = message;
  const group = conversation.type === 'group' ? conversation : undefined;
  return {
    msg_id: message.msgId,
    sender_id: message.senderId,
    recipient_id: message.recipientId ?? recipientId,
    content: message.content,
    unreadable: message.unreadable,
    sequence_number: message.sequenceNumber,
    timestamp: message.timestamp,
    created_at: message.acceptedAt,
    group_id: group?.key,
    conversation_type: group?.type,
    conversation_id: group?.id,
  };
}
