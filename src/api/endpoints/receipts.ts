/** Read receipts (spec, REST 3) and who has read a message. */
import { z } from 'zod';
import type { ReceiptPages } from '../../activities/mysql/receipt-pages';
import type { ConversationAccess } from '../../routing/conversation-access';
import type { MessageAccess } from '../../routing/message-access';
import type { ReadMarks } from '../../routing/read-marks';
import { reading } from '../../routing/store-errors';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import { count, deviceId, messageId, pageLimit, time, userId } from '../rest/fields';
import { Problem } from '../rest/problem';

export interface ReceiptDeps {
  readonly marks: ReadMarks;
  readonly pages: ReceiptPages;
  readonly messages: Pick<MessageAccess, 'find'>;
  readonly access: ConversationAccess;
}

export function receiptEndpoints(deps: ReceiptDeps): Endpoint[] {
  return [markRead(deps), listReceipts(deps)];
}

/** How a client says when and where something was read. */
export const readMark = {
  read_at: time
    .optional()
    .describe(
      'When it was read; now if not given. A time before the message or after now is corrected to ' +
        'that end.',
    ),
  device_id: deviceId.optional().describe('On which of the caller’s devices.'),
};

function markRead({ marks }: ReceiptDeps): Endpoint {
  return endpoint({
    method: 'POST',
    path: '/api/v1/messages/read',
    operationId: 'markMessageAsRead',
    summary: 'Mark a message as read',
    description:
      'Durable when answered; the sender is told a moment later. The first time of each device is ' +
      'kept, a repetition changes nothing. The message no longer waits in the inbox.',
    body: z.object({ msg_id: messageId, ...readMark }),
    answers: { 200: z.object({ success: z.literal(true), message: z.string() }) },
    problems: ['FORBIDDEN', 'NOT_FOUND', 'RETRIEVAL_ERROR', 'STORAGE_ERROR'],
    handle: async ({ caller, body }) => {
      const outcome = await marks.message(caller.userId, body.msg_id, {
        deviceId: body.device_id ?? '',
        readAt: body.read_at,
      });
      if (outcome === 'unknown') throw noSuchMessage();
      if (outcome === 'own') throw new Problem('FORBIDDEN', 'the message is your own');
      return ok({ success: true, message: 'Read receipt recorded' });
    },
  });
}

function listReceipts({ pages, messages, access }: ReceiptDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/messages/receipts',
    operationId: 'getReadReceipts',
    summary: 'Who has read a message, and when',
    description:
      'For its sender and everyone it was sent to. Readers come in the order of their ids.',
    query: z.object({
      msg_id: messageId,
      cursor: z.union([z.literal(''), userId]).optional(),
      limit: pageLimit,
    }),
    answers: {
      200: z.object({
        msg_id: messageId,
        receipts: z.array(
          z.object({ reader_id: userId, read_at: time, devices: z.array(z.string()) }),
        ),
        next_cursor: z.string(),
        has_more: z.boolean(),
        summary: z
          .object({
            reader_count: count,
            first_read_at: time.describe('0 when nobody has.'),
            last_read_at: time,
            first_readers: z.array(userId),
          })
          .describe('Of all receipts; follows within seconds.'),
      }),
    },
    problems: ['NOT_FOUND', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, query }) => {
      const facts = await messages.find(query.msg_id);
      const visible =
        facts &&
        (facts.senderId === caller.userId ||
          (await access.maySee(caller.userId, facts.conversation)));
      if (!visible) throw noSuchMessage();
      const [readers, summary] = await reading(
        Promise.all([
          pages.readers(query.msg_id, query.cursor ?? '', query.limit + 1),
          pages.summary(query.msg_id),
        ]),
      );
      const shown = readers.slice(0, query.limit);
      return ok({
        msg_id: query.msg_id,
        receipts: shown.map((reader) => ({
          reader_id: reader.readerId,
          read_at: reader.readAt,
          devices: reader.devices,
        })),
        next_cursor: shown.at(-1)?.readerId ?? query.cursor ?? '',
        has_more: readers.length > query.limit,
        summary: {
          reader_count: summary?.readerCount ?? 0,
          first_read_at: summary?.firstReadAt ?? 0,
          last_read_at: summary?.lastReadAt ?? 0,
          first_readers: summary?.firstReaders ?? [],
        },
      });
    },
  });
}

/** The same for a message that is not there and for one that is not the caller's to know of. */
function noSuchMessage(): Problem {
  return new Problem('NOT_FOUND', 'there is no such message');
}
