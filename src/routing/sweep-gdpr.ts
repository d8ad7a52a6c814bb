/** Starts the workflows of jobs that were written down while Temporal was away, or that it lost. */
import type { ActiveGdprJob, GdprJobs } from '../activities/mysql/gdpr-jobs';
import { messageOf } from '../domain/errors';
import type { GdprSweepPage } from '../domain/gdpr';
import type { Logger } from '../logger';

export interface GdprSweepDeps {
  readonly jobs: Pick<GdprJobs, 'overdue'>;
  /** Starts a job's workflow or finds it running; rejects when Temporal does not take it. */
  readonly startJob: (job: ActiveGdprJob) => Promise<void>;
  readonly now: () => number;
  readonly log: Logger;
}

/** Whoever wrote the request down starts the workflow within a few seconds, ms. */
const UNSTARTED_MS = 10_000;
/** A running job writes down how far it is more often than this, ms. */
const SILENT_MS = 10 * 60_000;
const PAGE_SIZE = 100;

/** One page; what cannot be started now is found again by the next sweep. */
export async function sweepGdprJobs(
  { jobs, startJob, now, log }: GdprSweepDeps,
  after: string,
): Promise<GdprSweepPage> {
  const times = { requestedBefore: now() - UNSTARTED_MS, runningBefore: now() - SILENT_MS };
  const found = await jobs.overdue(Number(after || 0), times, PAGE_SIZE);
  let started = 0;
  for (const job of found) {
    try {
      await startJob(job);
      started += 1;
    } catch (error) {
      log.warn({ job: job.jobId, err: messageOf(error) }, 'job not started');
    }
  }
  return { started, next: found.length < PAGE_SIZE ? undefined : String(found.at(-1)?.id) };
}
