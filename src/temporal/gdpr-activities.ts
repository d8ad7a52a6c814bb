/** The activities of the workflows about personal data, as Temporal calls them. */
import { ApplicationFailure } from '@temporalio/activity';
import type { GdprJobs } from '../activities/mysql/gdpr-jobs';
import { SYSTEM_AWAY, SystemAwayError } from '../domain/gdpr';
import type { GdprJobActivities, GdprSystem } from '../domain/gdpr';
import type { Logger } from '../logger';
import { sweepGdprJobs } from '../routing/sweep-gdpr';
import type { GdprSweepDeps } from '../routing/sweep-gdpr';
import { errorType, withHeartbeats } from './activities';

export interface GdprActivityDeps extends GdprSweepDeps {
  readonly jobs: Pick<GdprJobs, 'record' | 'finish' | 'overdue'>;
  readonly log: Logger;
}

export function createGdprActivities(deps: GdprActivityDeps): GdprJobActivities {
  const inMysql = <T>(work: () => Promise<T>): Promise<T> => inSystem('mysql', deps.log, work);
  return {
    recordGdprJob: (record) => inMysql(() => deps.jobs.record(record)),
    finishGdprJob: (proof) => inMysql(() => deps.jobs.finish(proof)),
    sweepGdprJobs: ({ after }) => inMysql(() => sweepGdprJobs(deps, after)),
  };
}

/** Runs a step's work with heartbeats; what goes wrong is told as `system` being away. */
export async function inSystem<T>(
  system: GdprSystem,
  log: Logger,
  work: () => Promise<T>,
): Promise<T> {
  return withHeartbeats(log, async () => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ApplicationFailure) throw error;
      // Of the error only its name: a driver's may quote a statement with its values.
      const away = error instanceof SystemAwayError ? error.system : system;
      const cause = error instanceof SystemAwayError ? error.cause : error;
      const message = `${away} is away: ${errorType(cause)}`;
      throw ApplicationFailure.retryable(message, SYSTEM_AWAY, { system: away });
    }
  });
}
