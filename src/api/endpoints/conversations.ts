/** Conversations: history to repair gaps from, reading all of it, and what is unread. */
import { z } from 'zod';
import type { Conversations } from '../../activities/mysql/conversations';
import type { ConversationType } from '../../domain/ids';
import type { ContentKeys } from '../../routing/content-keys';
import type { ConversationAccess, Visible } from '../../routing/conversation-access';
import type { ReadMarks } from '../../routing/read-marks';
import { reading } from '../../routing/store-errors';
import { unreadCounts } from '../../routing/unread';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import {
  conversationId,
  conversationType,
  count,
  pageLimit,
  queryNumber,
  userId,
} from '../rest/fields';
import { Problem } from '../rest/problem';
import { toWire, wireMessage } from './messages';
import { readMark } from './receipts';

export interface ConversationDeps {
  readonly conversations: Conversations;
  readonly access: ConversationAccess;
  readonly marks: ReadMarks;
  readonly keys: Pick<ContentKeys, 'open'>;
}

export function conversationEndpoints(deps: ConversationDeps): Endpoint[] {
  return [history(deps), markRead(deps), unread(deps)];
}

const peerId = userId
  .optional()
  .describe(
    'The other user of a private conversation, where one id stands for two conversations of the caller.',
  );

function history({ conversations, access, keys }: ConversationDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/conversations/{type}/{id}/messages',
    operationId: 'getConversationMessages',
    summary: 'Messages of a conversation above a sequence number',
    description:
      'For its members, to fill gaps: numbers may be skipped, but never repeat or fall. A member of a ' +
      'group sees what was sent since they joined.',
    params: z.object({ type: conversationType, id: conversationId }),
    query: z.object({
      after_sequence: queryNumber(0, Number.MAX_SAFE_INTEGER, 0, 'Only messages above this.'),
      limit: pageLimit,
      peer_id: peerId,
    }),
    answers: {
      200: z.object({
        messages: z.array(wireMessage),
        next_after_sequence: count.describe('What to ask for next.'),
        has_more: z.boolean(),
      }),
    },
    problems: ['NOT_FOUND', 'AMBIGUOUS_CONVERSATION', 'RETRIEVAL_ERROR', 'ENCRYPTION_ERROR'],
    handle: async ({ caller, params, query }) => {
      const visible = await resolved(access, caller.userId, params.type, params.id, query.peer_id);
      const found = await reading(
        conversations.messagesAfter(caller.userId, visible, query.after_sequence, query.limit + 1),
      );
      const shown = found.slice(0, query.limit);
      return ok({
        messages: (await keys.open(shown)).map((message) => toWire(message)),
        next_after_sequence: shown.at(-1)?.sequenceNumber ?? query.after_sequence,
        has_more: found.length > query.limit,
      });
    },
  });
}

function markRead({ access, marks }: ConversationDeps): Endpoint {
  return endpoint({
    method: 'POST',
    path: '/api/v1/conversations/read',
    operationId: 'markConversationAsRead',
    summary: 'Mark a conversation as read up to a sequence number',
    description: 'Ask again while has_more is true: one request marks a few thousand messages.',
    body: z.object({
      conversation_type: conversationType,
      conversation_id: conversationId,
      up_to_sequence: z.int().min(0),
      peer_id: peerId,
      ...readMark,
    }),
    answers: {
      200: z.object({
        success: z.literal(true),
        message: z.string(),
        marked: count,
        read_up_to_sequence: count,
        has_more: z.boolean(),
      }),
    },
    problems: ['NOT_FOUND', 'AMBIGUOUS_CONVERSATION', 'RETRIEVAL_ERROR', 'STORAGE_ERROR'],
    handle: async ({ caller, body }) => {
      const visible = await resolved(
        access,
        caller.userId,
        body.conversation_type,
        body.conversation_id,
        body.peer_id,
      );
      const done = await marks.conversation(caller.userId, visible, body.up_to_sequence, {
        deviceId: body.device_id ?? '',
        readAt: body.read_at,
      });
      return ok({
        success: true,
        message: 'Read receipts recorded',
        marked: done.marked,
        read_up_to_sequence: done.upTo,
        has_more: done.hasMore,
      });
    },
  });
}

function unread({ conversations, access }: ConversationDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/messages/unread/count',
    operationId: 'getUnreadCount',
    summary: 'How many messages the caller has not read',
    answers: {
      200: z.object({
        count,
        conversations: z.array(
          z.object({
            conversation_type: conversationType,
            conversation_id: conversationId,
            count,
          }),
        ),
      }),
    },
    problems: ['RETRIEVAL_ERROR'],
    handle: async ({ caller }) => {
      const counts = await unreadCounts({ conversations, access }, caller.userId);
      return ok({
        count: counts.reduce((sum, one) => sum + one.count, 0),
        conversations: counts.map((one) => ({
          conversation_type: one.conversation.type,
          conversation_id: one.conversation.id,
          count: one.count,
        })),
      });
    },
  });
}

/** The same answer for a conversation that is not there and for one that is not the caller's. */
async function resolved(
  access: ConversationAccess,
  callerId: string,
  type: ConversationType,
  id: string,
  peer: string | undefined,
): Promise<Visible> {
  const found = await access.resolve(callerId, type, id, peer);
  if (found === 'unknown') throw new Problem('NOT_FOUND', 'there is no such conversation');
  if (found === 'ambiguous') {
    throw new Problem(
      'AMBIGUOUS_CONVERSATION',
      'you have two conversations of this id: give peer_id',
    );
  }
  return found;
}
