/** Deleting a message (spec, REST 4). */
import { z } from 'zod';
import type { MessageDeletions } from '../../routing/message-deletions';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint, Reply } from '../rest/endpoint';
import { messageId } from '../rest/fields';
import { Problem } from '../rest/problem';
import { isCompliance } from './gdpr';

export interface DeletionDeps {
  readonly deletions: Pick<MessageDeletions, 'request'>;
  /** How long a caller waits for the deletion before they are told where to look, ms. */
  readonly waitMs: number;
}

const DELETED = { success: true, message: 'Message deleted from all systems' };

export function deletionEndpoints({ deletions, waitMs }: DeletionDeps): Endpoint[] {
  const deleteMessage = endpoint({
    method: 'DELETE',
    path: '/api/v1/messages/{msg_id}',
    operationId: 'deleteMessage',
    summary: 'Delete a message for good',
    description:
      'Its sender, or compliance, deletes it for everybody; who received it, for themself alone. Durable ' +
      'when answered: 202 when it takes longer than a few seconds, or a server is away; Location is where ' +
      'to look. Deleting again is answered as before.',
    params: z.object({ msg_id: messageId }),
    answers: {
      200: z.object({ success: z.literal(true), message: z.string() }),
      202: z.object({ success: z.literal(true), message: z.string(), job_id: z.string() }),
    },
    problems: ['NOT_FOUND', 'LEGAL_HOLD', 'RETRIEVAL_ERROR', 'STORAGE_ERROR'],
    handle: async ({ caller, params }): Promise<Reply> => {
      const deleter = { userId: caller.userId, isCompliance: isCompliance(caller) };
      const outcome = await deletions.request(deleter, params.msg_id, waitMs);
      if (outcome === 'unknown') throw new Problem('NOT_FOUND', 'there is no such message');
      if (outcome === 'deleted' || outcome.state === 'done') return ok(DELETED);
      const location = `/api/v1/gdpr/jobs/${outcome.jobId}`;
      if (outcome.state === 'blocked') {
        throw new Problem('LEGAL_HOLD', 'a legal hold forbids the deletion', { location });
      }
      if (outcome.state === 'failed' || outcome.state === 'canceled') {
        throw new Problem('INTERNAL_ERROR', `the deletion ${outcome.state}`, { location });
      }
      const message = 'Message deletion is under way';
      return {
        status: 202,
        body: { success: true, message, job_id: outcome.jobId },
        headers: { location },
      };
    },
  });
  return [deleteMessage];
}
