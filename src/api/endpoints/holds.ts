/** Legal holds, for compliance. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { Conversations } from '../../activities/mysql/conversations';
import type { Holds } from '../../activities/mysql/holds';
import type { LegalHold } from '../../domain/holds';
import { conversationOf, privateConversationsNamed } from '../../domain/ids';
import { reading, writing } from '../../routing/store-errors';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import { conversationId, conversationType, pageLimit, time, userId } from '../rest/fields';
import { Problem } from '../rest/problem';
import { requireCompliance } from './gdpr';

export interface HoldDeps {
  readonly holds: Holds;
  readonly conversations: Pick<Conversations, 'existingPrivate'>;
}

export function holdEndpoints(deps: HoldDeps): Endpoint[] {
  return [placeHold(deps), listHolds(deps), releaseHold(deps)];
}

const conversation = z.object({ type: conversationType, id: conversationId });
const holdId = z.uuid().describe('Id of a legal hold.');

const wireHold = z.object({
  hold_id: holdId,
  user_id: userId.optional(),
  conversation: conversation.optional(),
  reason: z.string(),
  placed_by: userId,
  placed_at: time,
  released_by: userId.optional(),
  released_at: time.optional(),
});

const PATH = '/api/v1/gdpr/holds';

function placeHold({ holds, conversations }: HoldDeps): Endpoint {
  return endpoint({
    method: 'POST',
    path: PATH,
    operationId: 'placeLegalHold',
    summary: 'Forbid that messages are destroyed',
    description:
      'For the scope im:compliance. On a user: what they sent and were sent, and the groups in which ' +
      'the service has seen them. On a conversation: all of it. While it holds, deletions, erasures and ' +
      'retention leave these alone.',
    body: z
      .object({
        user_id: userId.optional(),
        conversation: conversation.optional(),
        reason: z.string().trim().min(1).max(1_000),
      })
      .refine(
        (body) => (body.user_id === undefined) !== (body.conversation === undefined),
        'give user_id or conversation',
      ),
    answers: { 201: wireHold },
    problems: ['FORBIDDEN', 'AMBIGUOUS_CONVERSATION', 'RETRIEVAL_ERROR', 'STORAGE_ERROR'],
    handle: async ({ caller, body }) => {
      requireCompliance(caller);
      const subject = await subjectOf(conversations, body);
      const hold = await writing(
        holds.place({
          holdId: randomUUID(),
          ...subject,
          reason: body.reason,
          placedBy: caller.userId,
        }),
      );
      return { status: 201, body: toWire(hold), headers: { location: `${PATH}/${hold.holdId}` } };
    },
  });
}

function listHolds({ holds }: HoldDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: PATH,
    operationId: 'listLegalHolds',
    summary: 'Legal holds, the newest first',
    description: 'For the scope im:compliance. Released ones are told if asked for.',
    query: z.object({
      released: z.enum(['true', 'false']).optional(),
      cursor: z.union([z.literal(''), holdId]).optional(),
      limit: pageLimit,
    }),
    answers: {
      200: z.object({ holds: z.array(wireHold), next_cursor: z.string(), has_more: z.boolean() }),
    },
    problems: ['FORBIDDEN', 'INVALID_CURSOR', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, query }) => {
      requireCompliance(caller);
      const after = query.cursor ? await reading(holds.find(query.cursor)) : undefined;
      if (query.cursor && !after) {
        throw new Problem('INVALID_CURSOR', 'the cursor is not known: begin without one');
      }
      const found = await reading(
        holds.list(after?.id ?? Number.MAX_SAFE_INTEGER, query.limit + 1, {
          released: query.released === 'true',
        }),
      );
      const shown = found.slice(0, query.limit);
      return ok({
        holds: shown.map(toWire),
        next_cursor: shown.at(-1)?.holdId ?? query.cursor ?? '',
        has_more: found.length > query.limit,
      });
    },
  });
}

function releaseHold({ holds }: HoldDeps): Endpoint {
  return endpoint({
    method: 'DELETE',
    path: `${PATH}/{id}`,
    operationId: 'releaseLegalHold',
    summary: 'Release a legal hold',
    description:
      'For the scope im:compliance. It stays listed as released; a repetition changes nothing.',
    params: z.object({ id: z.string().max(128) }),
    answers: { 200: wireHold },
    problems: ['FORBIDDEN', 'NOT_FOUND', 'STORAGE_ERROR'],
    handle: async ({ caller, params }) => {
      requireCompliance(caller);
      const hold = await writing(holds.release(params.id, caller.userId));
      if (!hold) throw new Problem('NOT_FOUND', 'there is no such hold');
      return ok(toWire(hold));
    },
  });
}

/** What the hold is on, as it is stored. */
async function subjectOf(
  conversations: HoldDeps['conversations'],
  body: { user_id?: string | undefined; conversation?: z.output<typeof conversation> | undefined },
): Promise<Pick<LegalHold, 'kind' | 'subject'>> {
  if (body.user_id !== undefined) return { kind: 'user', subject: body.user_id };
  const { type, id } = body.conversation ?? { type: 'group', id: '' };
  if (type === 'group') return { kind: 'group', subject: id };
  const keys = privateConversationsNamed(id).map(({ key }) => key);
  if (keys.length === 0)
    throw new Problem('INVALID_REQUEST', 'body.conversation.id: names no two users');
  // One id may stand for several pairs of users; the one that has written is meant.
  const meant = keys.length === 1 ? keys : await reading(conversations.existingPrivate(keys));
  const [subject] = meant;
  if (subject === undefined || meant.length > 1) {
    throw new Problem(
      'AMBIGUOUS_CONVERSATION',
      'the id stands for several conversations: place a hold on a user instead',
    );
  }
  return { kind: 'private', subject };
}

function toWire(hold: LegalHold): z.input<typeof wireHold> {
  const { kind, subject } = hold;
  return {
    hold_id: hold.holdId,
    ...(kind === 'user'
      ? { user_id: subject }
      : { conversation: { type: kind, id: conversationOf(kind, subject).id } }),
    reason: hold.reason,
    placed_by: hold.placedBy,
    placed_at: hold.placedAt,
    ...(hold.releasedBy !== null && {
      released_by: hold.releasedBy,
      released_at: hold.releasedAt,
    }),
  };
}
