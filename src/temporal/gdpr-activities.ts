/** The activities of the workflows about personal data, as Temporal calls them. */
import { activityInfo, ApplicationFailure } from '@temporalio/activity';
import { mysqlRefuses } from '../activities/mysql/database';
import type { GdprJobs } from '../activities/mysql/gdpr-jobs';
import { redisRefuses } from '../activities/redis/connection';
import { BEGUN, STEP_FAILS, SYSTEM_AWAY, SystemAwayError } from '../domain/gdpr';
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
    finishGdprJob: (proof) =>
      inMysql(async () => {
        if (await deps.jobs.finish(proof)) return;
        throw ApplicationFailure.nonRetryable('it has begun to destroy', BEGUN);
      }),
    sweepGdprJobs: ({ after }) => inMysql(() => sweepGdprJobs(deps, after)),
  };
}

/**
 * Runs a step's work with heartbeats; what goes wrong is told as `system` being away, unless the error
 * itself says that it is there.
 */
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
      const away = error instanceof SystemAwayError ? error.system : system;
      const cause = error instanceof SystemAwayError ? error.cause : error;
      throw toFailure(away, cause, log);
    }
  });
}

/** Of the error only its name: a driver's may quote a statement with its values. */
function toFailure(system: GdprSystem, error: unknown, log: Logger): ApplicationFailure {
  const problem = errorType(error);
  const { activityType, attempt } = activityInfo();
  log.warn({ activity: activityType, attempt, system, type: problem }, 'activity failed');
  if (isRefusal(error)) {
    return ApplicationFailure.retryable(`${system}: ${problem}`, STEP_FAILS, { system, problem });
  }
  return ApplicationFailure.retryable(`${system} is away: ${problem}`, SYSTEM_AWAY, { system });
}

/** Whether a server has answered, and refuses, or there is a fault in our own code. */
function isRefusal(error: unknown): boolean {
  return (
    redisRefuses(error) ||
    mysqlRefuses(error) ||
    error instanceof TypeError ||
    error instanceof RangeError
  );
}
