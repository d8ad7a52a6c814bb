/** Following requests about personal data: jobs, and the audit log. */
import { z } from 'zod';
import type { AuditEntry, AuditLog } from '../../activities/mysql/audit-log';
import type { GdprJob, GdprJobs } from '../../activities/mysql/gdpr-jobs';
import { GDPR_KINDS, GDPR_STATES, GDPR_SYSTEMS, isByService } from '../../domain/gdpr';
import { reading } from '../../routing/store-errors';
import { endpoint, ok } from '../rest/endpoint';
import type { Endpoint } from '../rest/endpoint';
import { count, pageLimit, time, userId } from '../rest/fields';
import { Problem } from '../rest/problem';
import type { Caller } from '../rest/token-verifier';

export interface GdprDeps {
  readonly jobs: Pick<GdprJobs, 'find' | 'page'>;
  readonly audit: Pick<AuditLog, 'page'>;
}

export function gdprEndpoints(deps: GdprDeps): Endpoint[] {
  return [getJob(deps), listJobs(deps), listAudit(deps)];
}

const jobId = z.uuid().describe('Id of a job.');

export const wireJob = z.object({
  job_id: jobId,
  kind: z.enum(GDPR_KINDS),
  state: z.enum(GDPR_STATES).describe('blocked: by a legal hold.'),
  user_id: userId.optional().describe('Whose data it is about.'),
  requested_by: userId.optional().describe('Told to them and to compliance.'),
  requested_role: z.enum(['own', 'compliance']),
  workflow_id: z
    .string()
    .optional()
    .describe('In Temporal; not given where it would name a message.'),
  requested_at: time,
  finished_at: time.optional(),
  steps: z.array(
    z.object({
      name: z.string().describe('After the system it cleans.'),
      state: z.enum(['running', 'waiting', 'done']),
      waiting_for: z.enum(GDPR_SYSTEMS).optional().describe('What is away.'),
      problem: z
        .string()
        .optional()
        .describe('What it fails with, when nothing is away; it is tried again.'),
      started_at: time,
      finished_at: time.optional(),
      counts: z.record(z.string(), z.number()).describe('What was found and done.'),
    }),
  ),
  download_url: z.string().optional().describe('Of an export that is done: where its bundle is.'),
  expires: z
    .array(z.object({ what: z.string(), at: time }))
    .describe('What is not removed but goes by itself, and when the last of it is gone.'),
});

/** A job as this caller may see it. */
export function jobToWire(job: GdprJob, caller: Caller): z.input<typeof wireJob> {
  const named = isCompliance(caller) || job.requestedBy === caller.userId;
  return {
    job_id: job.jobId,
    kind: job.kind,
    state: job.state,
    user_id: job.userId,
    ...(named && { requested_by: job.requestedBy }),
    requested_role: job.requestedRole,
    workflow_id: job.workflowId,
    requested_at: job.requestedAt,
    finished_at: job.finishedAt,
    steps: job.steps.map((step) => ({
      name: step.name,
      state: step.state,
      waiting_for: step.waitingFor,
      problem: step.problem,
      started_at: step.startedAt,
      finished_at: step.finishedAt,
      counts: { ...step.counts },
    })),
    download_url: bundlePath(job),
    expires: [...job.expires],
  };
}

/** Where the bundle of an export is that is done. */
export function bundlePath({ kind, state, jobId }: GdprJob): string | undefined {
  if (kind !== 'export' || state !== 'done') return undefined;
  return `/api/v1/gdpr/jobs/${jobId}/bundle`;
}

export function isCompliance(caller: Caller): boolean {
  return caller.scopes.has('im:compliance');
}

export function requireCompliance(caller: Caller): void {
  if (!isCompliance(caller)) throw new Problem('FORBIDDEN', 'the scope im:compliance is needed');
}

function getJob({ jobs }: GdprDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/gdpr/jobs/{id}',
    operationId: 'getGdprJob',
    summary: 'How far a request about personal data is',
    description:
      'For whoever made the request, whom it is about, and compliance. To know a job’s id is not enough.',
    params: z.object({ id: z.string().max(128) }),
    answers: { 200: wireJob },
    problems: ['NOT_FOUND', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, params }) => {
      const job = await reading(jobs.find(params.id));
      const visible =
        job &&
        (isCompliance(caller) || job.requestedBy === caller.userId || job.userId === caller.userId);
      if (!visible) throw new Problem('NOT_FOUND', 'there is no such job');
      return ok(jobToWire(job, caller));
    },
  });
}

function listJobs({ jobs }: GdprDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/gdpr/jobs',
    operationId: 'listGdprJobs',
    summary: 'Requests about personal data, the newest first',
    description: 'For the scope im:compliance.',
    query: z.object({
      user_id: userId.optional(),
      state: z.enum(GDPR_STATES).optional(),
      cursor: z.union([z.literal(''), jobId]).optional(),
      limit: pageLimit,
    }),
    answers: {
      200: z.object({ jobs: z.array(wireJob), next_cursor: z.string(), has_more: z.boolean() }),
    },
    problems: ['FORBIDDEN', 'INVALID_CURSOR', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, query }) => {
      requireCompliance(caller);
      const after = query.cursor ? await reading(jobs.find(query.cursor)) : undefined;
      if (query.cursor && !after) throw unknownCursor();
      const filter = { userId: query.user_id, state: query.state };
      const found = await reading(
        jobs.page(filter, after?.id ?? Number.MAX_SAFE_INTEGER, query.limit + 1),
      );
      const shown = found.slice(0, query.limit);
      return ok({
        jobs: shown.map((job) => jobToWire(job, caller)),
        next_cursor: shown.at(-1)?.jobId ?? query.cursor ?? '',
        has_more: found.length > query.limit,
      });
    },
  });
}

const wireAudit = z.object({
  seq: count.min(1),
  at: time,
  actor: z.string().describe('A user id, or "system".'),
  actor_kind: z
    .enum(['user', 'service'])
    .describe('"service": the service itself; a user may have the id "system".'),
  action: z.string(),
  subject_kind: z.string(),
  subject_id: z.string(),
  outcome: z.string(),
  details: z.record(z.string(), z.unknown()),
  prev_hash: z.string(),
  hash: z.string(),
});

/** A time in a query string. */
const queryTime = z
  .string()
  .regex(/^\d{1,15}$/, 'must be a whole number')
  .transform(Number)
  .optional();

function listAudit({ audit }: GdprDeps): Endpoint {
  return endpoint({
    method: 'GET',
    path: '/api/v1/gdpr/audit',
    operationId: 'listAuditLog',
    summary: 'The audit log, the newest entry first',
    description:
      'For the scope im:compliance. Each entry carries the hash of the one before it; npm run audit -- verify holds them together.',
    query: z.object({
      actor: z.string().max(128).optional(),
      action: z.string().max(64).optional(),
      subject_kind: z.string().max(32).optional(),
      subject_id: z.string().max(260).optional(),
      from: queryTime.describe('Unix ms, that time included.'),
      to: queryTime.describe('Unix ms, that time not included.'),
      cursor: z.union([z.literal(''), z.string().regex(/^\d{1,15}$/, 'is not known')]).optional(),
      limit: pageLimit,
    }),
    answers: {
      200: z.object({
        entries: z.array(wireAudit),
        next_cursor: z.string(),
        has_more: z.boolean(),
      }),
    },
    problems: ['FORBIDDEN', 'RETRIEVAL_ERROR'],
    handle: async ({ caller, query }) => {
      requireCompliance(caller);
      const { cursor, limit, subject_kind: subjectKind, subject_id: subjectId, ...rest } = query;
      const before = cursor ? Number(cursor) : Number.MAX_SAFE_INTEGER;
      const found = await reading(
        audit.page({ ...rest, subjectKind, subjectId }, before, limit + 1),
      );
      const shown = found.slice(0, limit);
      return ok({
        entries: shown.map(auditToWire),
        next_cursor: shown.length > 0 ? String(shown.at(-1)?.seq) : (cursor ?? ''),
        has_more: found.length > limit,
      });
    },
  });
}

function auditToWire(entry: AuditEntry): z.input<typeof wireAudit> {
  return {
    seq: entry.seq,
    at: entry.at,
    actor: entry.actor,
    actor_kind: isByService(entry) ? 'service' : 'user',
    action: entry.action,
    subject_kind: entry.subjectKind,
    subject_id: entry.subjectId,
    outcome: entry.outcome,
    details: JSON.parse(entry.details) as Record<string, unknown>,
    prev_hash: entry.prevHash,
    hash: entry.hash,
  };
}

function unknownCursor(): Problem {
  return new Problem('INVALID_CURSOR', 'the cursor is not known: begin without one');
}
