/** A request about personal data: written down first, then a workflow, then a short wait for its end. */
import type { ActiveGdprJob, GdprJob, GdprJobs, NewGdprJob } from '../activities/mysql/gdpr-jobs';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import { reading, writing } from './store-errors';

export interface GdprRequestDeps {
  readonly jobs: Pick<GdprJobs, 'request' | 'find'>;
  /** Rejects when Temporal does not take it; the sweep then starts the job later. */
  readonly startJob: (job: ActiveGdprJob) => Promise<void>;
  /** Resolves when the workflow has ended, however, or after `ms`. */
  readonly ended: (workflowId: string, ms: number) => Promise<void>;
  readonly log: Logger;
}

export class GdprRequests {
  constructor(private readonly deps: GdprRequestDeps) {}

  /** Takes a request and resolves with its job as it is after at most `waitMs`. */
  async request(request: NewGdprJob, waitMs: number): Promise<GdprJob> {
    const { jobs, startJob, ended, log } = this.deps;
    const { job } = await writing(jobs.request(request));
    try {
      await startJob(job);
      await ended(job.workflowId, waitMs);
    } catch (error) {
      log.warn({ job: job.jobId, err: messageOf(error) }, 'job not started yet');
    }
    return this.current(job.jobId);
  }

  /** A job that was requested before, as it is after at most `waitMs`. */
  async follow(job: GdprJob, workflowId: string, waitMs: number): Promise<GdprJob> {
    if (job.state !== 'requested' && job.state !== 'running') return job;
    await this.deps.ended(workflowId, waitMs);
    return this.current(job.jobId);
  }

  private async current(jobId: string): Promise<GdprJob> {
    const found = await reading(this.deps.jobs.find(jobId));
    if (!found) throw new Error(`job ${jobId} is gone`);
    return found;
  }
}
