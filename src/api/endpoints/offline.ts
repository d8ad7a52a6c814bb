/** The offline inbox (spec, REST 1 and 2). */
import { z } from 'zod';
import type { OfflineInbox } from '../../routing/offline-inbox';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import { count, messageId, pageLimit, time } from '../rest/fields';
import { Problem } from '../rest/problem';
import { toWire, wireMessage } from './messages';

export function offlineEndpoints(inbox: OfflineInbox): Endpoint[] {
  return [offlineMessages(inbox), offlineCount(inbox)];
}

function offlineMessages(inbox: OfflineInbox): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/offline',
    operationId: 'getOfflineMessages',
    summary: 'Messages that wait for the caller',
    description:
      'In the order of the inbox. Go on with next_cursor while has_more is true; a cursor keeps its ' +
      'place when its message is read, delivered, deleted or expires. Reading a page changes ' +
      'nothing: mark messages as read to take them out of the inbox.',
    query: z.object({
      // The spec's client sends an empty cursor for the first page.
      cursor: z.union([z.literal(''), messageId]).optional(),
      limit: pageLimit,
    }),
    answers: {
      200: z.object({
        messages: z.array(wireMessage),
        next_cursor: z
          .string()
          .describe(
            'Where the next page begins, also one that is asked for later. Empty in an empty inbox.',
          ),
        has_more: z.boolean(),
        total_count: count.describe('Messages that wait, on this page or not.'),
      }),
    },
    problems: ['INVALID_CURSOR', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, query }) => {
      const page = await inbox.page(caller.userId, query.cursor || undefined, query.limit);
      if (!page) throw new Problem('INVALID_CURSOR', 'the cursor is not known: begin without one');
      return ok({
        messages: page.messages.map((message) => toWire(message, caller.userId)),
        next_cursor: page.nextCursor ?? query.cursor ?? '',
        has_more: page.hasMore,
        total_count: page.totalCount,
      });
    },
  });
}

function offlineCount(inbox: OfflineInbox): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/offline/count',
    operationId: 'getOfflineMessageCount',
    summary: 'How many messages wait for the caller',
    answers: {
      200: z.object({
        count,
        oldest_timestamp: time.describe('0 when nothing waits.'),
        newest_timestamp: time.describe('0 when nothing waits.'),
      }),
    },
    problems: ['RETRIEVAL_ERROR'],
    handle: async ({ caller }) => {
      const { count, oldest, newest } = await inbox.count(caller.userId);
      return ok({ count, oldest_timestamp: oldest, newest_timestamp: newest });
    },
  });
}
