/** Requests about personal data in MySQL: written down before a workflow is asked to do anything. */
import { createHash, randomUUID } from 'node:crypto';
import { endOfJob } from '../../domain/gdpr';
import type {
  GdprExpiry,
  GdprInput,
  GdprKind,
  GdprProof,
  GdprRecord,
  GdprState,
  GdprStep,
} from '../../domain/gdpr';
import { appendAudit } from './audit-log';
import type { AuditEvent } from './audit-log';
import { isDuplicate } from './database';
import type { Database, Queryable } from './database';

export interface NewGdprJob {
  readonly kind: GdprKind;
  /** Whose data it is about. */
  readonly userId: string | undefined;
  readonly requestedBy: string;
  readonly requestedRole: 'own' | 'compliance';
  /** Names what is asked for: while a job with the same name is active, a request joins it. */
  readonly name: string;
  /** Of the workflow. */
  readonly workflowId: (jobId: string) => string;
  /** What the workflow is started with, beside the job's id and who asked. */
  readonly input: Omit<GdprInput, 'jobId' | 'requestedBy'>;
  readonly audit: Pick<AuditEvent, 'action' | 'subjectKind' | 'subjectId'>;
}

export interface GdprJob {
  /** Grows with time. */
  readonly id: number;
  readonly jobId: string;
  readonly kind: GdprKind;
  readonly userId: string | undefined;
  readonly requestedBy: string;
  readonly requestedRole: 'own' | 'compliance';
  /** `undefined` where it would name a message. */
  readonly workflowId: string | undefined;
  readonly state: GdprState;
  readonly steps: readonly GdprStep[];
  readonly expires: readonly GdprExpiry[];
  readonly requestedAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | undefined;
}

/** A job that has not ended, as its workflow is started. */
export interface ActiveGdprJob {
  readonly jobId: string;
  readonly kind: GdprKind;
  readonly workflowId: string;
  readonly input: GdprInput;
}

export interface GdprJobFilter {
  readonly userId?: string;
  readonly state?: GdprState;
}

/** What stands in `input`: all that the workflow's start needs, the audit entry of its end too. */
interface StoredInput {
  readonly workflowId: string;
  readonly input: GdprInput;
  readonly audit: NewGdprJob['audit'];
}

/** A job may end between the failed insert and the next look. */
const REQUEST_ATTEMPTS = 5;
const COLUMNS = `id, job_id, kind, user_id, requested_by, requested_role, workflow_id, state, steps,
  expires, requested_at, updated_at, finished_at`;

export class GdprJobs {
  constructor(
    private readonly db: Database,
    private readonly now: () => number,
  ) {}

  /** Writes a request down and into the audit log, or joins the active job for the same thing. */
  async request(job: NewGdprJob): Promise<{ job: ActiveGdprJob; joined: boolean }> {
    const key = createHash('sha256').update(job.name).digest('hex');
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.db.transaction(async (tx) => {
          const active = await activeBy(tx, key);
          const made = active ?? (await this.insert(tx, job, key));
          await appendAudit(tx, requested(job, made.jobId, active !== undefined), this.now());
          return { job: made, joined: active !== undefined };
        });
      } catch (error) {
        // Someone asked for the same at the same time and was first: theirs is there to be joined.
        if (!isDuplicate(error) || attempt === REQUEST_ATTEMPTS) throw error;
      }
    }
  }

  /** `undefined` when there is none. */
  async find(jobId: string): Promise<GdprJob | undefined> {
    const [row] = await this.db.select<JobRow>(
      `SELECT ${COLUMNS} FROM gdpr_jobs WHERE job_id = ?`,
      [jobId],
    );
    return row && toJob(row);
  }

  /** The last `limit` jobs before the one with number `beforeId`, newest first. */
  async page(filter: GdprJobFilter, beforeId: number, limit: number): Promise<GdprJob[]> {
    const conditions: [string, string | number | undefined][] = [
      ['id < ?', beforeId],
      ['user_id = ?', filter.userId],
      ['state = ?', filter.state],
    ];
    const given = conditions.filter(([, value]) => value !== undefined);
    const rows = await this.db.select<JobRow>(
      `SELECT ${COLUMNS} FROM gdpr_jobs WHERE ${given.map(([sql]) => sql).join(' AND ')}
       ORDER BY id DESC LIMIT ?`,
      [...given.map(([, value]) => value), limit],
    );
    return rows.map(toJob);
  }

  /** Notes how far an active job is; one that has ended stays as it ended. */
  async record({ jobId, state, steps }: GdprRecord): Promise<void> {
    await this.db.execute(
      `UPDATE gdpr_jobs SET state = ?, steps = ?, updated_at = ?
       WHERE job_id = ? AND active_key IS NOT NULL`,
      [state, JSON.stringify(steps), this.now(), jobId],
    );
  }

  /**
   * Ends a job, takes out of it what names a message, and says in the audit log how it ended. False, and
   * nothing changes, when it was to end as canceled and has listed a message as erased.
   */
  async finish({
    jobId,
    state,
    steps,
    expires,
    reason,
  }: GdprProof & { reason?: string }): Promise<boolean> {
    const now = this.now();
    return this.db.transaction(async (tx) => {
      const [row] = await tx.select<{ input: string | null; requested_by: string }>(
        'SELECT input, requested_by FROM gdpr_jobs WHERE job_id = ? FOR UPDATE',
        [jobId],
      );
      // Ended by an attempt whose answer was lost.
      if (!row || row.input === null) return true;
      const { audit, input } = JSON.parse(row.input) as StoredInput;
      if (state === 'canceled' && (await hasListed(tx, jobId, input.messageId))) return false;
      await tx.execute(
        `UPDATE gdpr_jobs SET state = ?, steps = ?, expires = ?, input = NULL, active_key = NULL,
           updated_at = ?, finished_at = ? WHERE job_id = ?`,
        [state, JSON.stringify(steps), JSON.stringify(expires), now, now, jobId],
      );
      const counts = Object.fromEntries(steps.map((step) => [step.name, step.counts]));
      const details = { job_id: jobId, counts, expires, ...(reason && { reason }) };
      await appendAudit(tx, { ...audit, ...endOfJob(jobId), outcome: state, details }, now);
      return true;
    });
  }

  /** Jobs without a workflow, as far as can be seen: not heard of for a while. In order of number. */
  async overdue(
    afterId: number,
    times: { readonly requestedBefore: number; readonly runningBefore: number },
    limit: number,
  ): Promise<(ActiveGdprJob & { readonly id: number })[]> {
    const rows = await this.db.select<{ id: number; kind: GdprKind; input: string }>(
      `SELECT id, kind, input FROM gdpr_jobs
       WHERE id > ? AND input IS NOT NULL AND
         ((state = 'requested' AND updated_at < ?) OR (state = 'running' AND updated_at < ?))
       ORDER BY id LIMIT ?`,
      [afterId, times.requestedBefore, times.runningBefore, limit],
    );
    return rows.map((row) => ({ id: row.id, ...toActive(row) }));
  }

  private async insert(tx: Queryable, job: NewGdprJob, key: string): Promise<ActiveGdprJob> {
    const jobId = randomUUID();
    const workflowId = job.workflowId(jobId);
    const input: GdprInput = { ...job.input, jobId, requestedBy: job.requestedBy };
    const stored: StoredInput = { workflowId, input, audit: job.audit };
    const now = this.now();
    await tx.execute(
      `INSERT INTO gdpr_jobs (job_id, kind, user_id, requested_by, requested_role, workflow_id, state,
         input, active_key, steps, expires, requested_at, updated_at)
       VALUES (?, ?, ?, ?, ?, ?, 'requested', ?, ?, '[]', '[]', ?, ?)`,
      [
        jobId,
        job.kind,
        job.userId ?? null,
        job.requestedBy,
        job.requestedRole,
        input.messageId === undefined ? workflowId : null,
        JSON.stringify(stored),
        key,
        now,
        now,
      ],
    );
    return { jobId, kind: job.kind, workflowId, input };
  }
}

/** The active job of a name, kept from ending until the transaction does. */
async function activeBy(tx: Queryable, key: string): Promise<ActiveGdprJob | undefined> {
  const [row] = await tx.select<{ kind: GdprKind; input: string }>(
    'SELECT kind, input FROM gdpr_jobs WHERE active_key = ? FOR UPDATE',
    [key],
  );
  return row && toActive(row);
}

/** The job's row is locked: what has not been listed now is not listed before the job has ended. */
async function hasListed(tx: Queryable, jobId: string, msgId?: string): Promise<boolean> {
  if (msgId === undefined) return false;
  const rows = await tx.select('SELECT 1 FROM erased_messages WHERE msg_id = ? AND job_id = ?', [
    msgId,
    jobId,
  ]);
  return rows.length > 0;
}

function requested(job: NewGdprJob, jobId: string, joined: boolean): AuditEvent {
  return {
    ...job.audit,
    actor: job.requestedBy,
    outcome: joined ? 'joined' : 'requested',
    details: { job_id: jobId, role: job.requestedRole },
    // Each request is an event of its own.
    entryKey: joined ? `${jobId}/joined/${randomUUID()}` : `${jobId}/requested`,
  };
}

function toActive({ kind, input }: { kind: GdprKind; input: string }): ActiveGdprJob {
  const stored = JSON.parse(input) as StoredInput;
  return { jobId: stored.input.jobId, kind, workflowId: stored.workflowId, input: stored.input };
}

interface JobRow {
  readonly id: number;
  readonly job_id: string;
  readonly kind: GdprKind;
  readonly user_id: string | null;
  readonly requested_by: string;
  readonly requested_role: 'own' | 'compliance';
  readonly workflow_id: string | null;
  readonly state: GdprState;
  readonly steps: string;
  readonly expires: string;
  readonly requested_at: number;
  readonly updated_at: number;
  readonly finished_at: number | null;
}

function toJob(row: JobRow): GdprJob {
  return {
    id: row.id,
    jobId: row.job_id,
    kind: row.kind,
    userId: row.user_id ?? undefined,
    requestedBy: row.requested_by,
    requestedRole: row.requested_role,
    workflowId: row.workflow_id ?? undefined,
    state: row.state,
    steps: JSON.parse(row.steps) as GdprStep[],
    expires: JSON.parse(row.expires) as GdprExpiry[],
    requestedAt: row.requested_at,
    updatedAt: row.updated_at,
    finishedAt: row.finished_at ?? undefined,
  };
}
