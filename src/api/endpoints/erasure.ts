/** The erasure of a user: asked for by compliance, or by the user themself in two steps. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';
import type { AuditLog } from '../../activities/mysql/audit-log';
import type { ErasureConfirmations } from '../../activities/mysql/erasure-confirmations';
import type { NewGdprJob } from '../../activities/mysql/gdpr-jobs';
import type { Holds } from '../../activities/mysql/holds';
import type { EraseInput } from '../../domain/erasure';
import type { GdprRequests } from '../../routing/gdpr-requests';
import { reading, writing } from '../../routing/store-errors';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import { time, userId } from '../rest/fields';
import { Problem } from '../rest/problem';
import { isCompliance, jobToWire, wireJob } from './gdpr';

export interface ErasureDeps {
  readonly holds: Pick<Holds, 'onUser'>;
  readonly confirmations: ErasureConfirmations;
  readonly requests: GdprRequests;
  readonly audit: AuditLog;
  /** How long a job waits, and can be canceled, before it destroys anything, s. */
  readonly delayS: number;
}

/** The answer does not wait for the job: it takes seconds at least. */
const NO_WAIT_MS = 1;

/** How long an answer waits for what holds cover, ms: all that a prolific user sent takes minutes. */
const LOOK_MS = 2_000;

export function erasureEndpoints(deps: ErasureDeps): Endpoint[] {
  return [erase(deps)];
}

function erase(deps: ErasureDeps): Endpoint {
  return endpoint({
    method: 'POST',
    path: '/api/v1/gdpr/erasure',
    operationId: 'eraseUser',
    summary: 'Erase a user',
    description:
      'For the caller themself in two steps: the first call answers 200 with a confirmation_token, the ' +
      'second brings it back. The scope im:compliance names a user_id and needs no token. 202: the job ' +
      'at Location does it; while it runs, another request joins it.',
    body: z.object({
      user_id: userId.optional().describe('Only for compliance; without it the caller.'),
      confirmation_token: z.string().max(128).optional(),
    }),
    answers: {
      200: z.object({ confirmation_token: z.string(), expires_at: time }),
      202: wireJob,
    },
    problems: [
      'FORBIDDEN',
      'INVALID_CONFIRMATION',
      'LEGAL_HOLD',
      'RETRIEVAL_ERROR',
      'STORAGE_ERROR',
    ],
    handle: async ({ caller, body }) => {
      const { confirmations, requests } = deps;
      const byCompliance = body.user_id !== undefined && isCompliance(caller);
      const subject = body.user_id ?? caller.userId;
      if (!byCompliance && subject !== caller.userId) {
        throw new Problem('FORBIDDEN', 'only the scope im:compliance erases others');
      }
      await requireNoHold(deps, subject, caller.userId);
      const token = body.confirmation_token;
      if (!byCompliance && token === undefined) {
        const issued = await writing(confirmations.issue(subject));
        return ok({ confirmation_token: issued.token, expires_at: issued.expiresAt });
      }
      if (token !== undefined && !(await reading(confirmations.isGood(subject, token)))) {
        throw new Problem('INVALID_CONFIRMATION', 'the token is not yours, or is over');
      }
      const role = byCompliance ? 'compliance' : 'own';
      const job = await requests.request(
        erasureJob(subject, caller.userId, role, deps.delayS),
        NO_WAIT_MS,
      );
      await writing(confirmations.remove(subject));
      const location = `/api/v1/gdpr/jobs/${job.jobId}`;
      return { status: 202, body: jobToWire(job, caller), headers: { location } };
    },
  });
}

/** The workflow looks again; here it is told at once, where that is quickly known, and noted. */
async function requireNoHold(
  { holds, audit }: ErasureDeps,
  subject: string,
  actor: string,
): Promise<void> {
  if (!(await reading(isKnownHeld(holds, subject)))) return;
  await writing(
    audit.append({
      ...auditOf(subject),
      actor,
      outcome: 'refused',
      details: {},
      entryKey: randomUUID(),
    }),
  );
  throw new Problem('LEGAL_HOLD', 'a legal hold forbids the erasure');
}

async function isKnownHeld(holds: ErasureDeps['holds'], subject: string): Promise<boolean> {
  const enough = AbortSignal.timeout(LOOK_MS);
  try {
    return await holds.onUser(subject, enough);
  } catch (error) {
    if (error !== enough.reason) throw error;
    return false;
  }
}

function auditOf(subject: string): NewGdprJob['audit'] {
  return { action: 'user.erase', subjectKind: 'user', subjectId: subject };
}

function erasureJob(
  subject: string,
  requestedBy: string,
  requestedRole: 'own' | 'compliance',
  delayS: number,
): NewGdprJob {
  const input: Omit<EraseInput, 'jobId' | 'requestedBy'> = {
    userId: subject,
    ...(delayS > 0 && { delayS }),
  };
  const name = `gdpr-erase/${subject}`;
  return {
    kind: 'erase',
    userId: subject,
    requestedBy,
    requestedRole,
    name,
    workflowId: () => name,
    input,
    audit: auditOf(subject),
  };
}
