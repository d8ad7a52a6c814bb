/** Readiness: every dependency is really asked, each with a deadline. */
import { withDeadline } from '../activities/deadline';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';

/** How long a dependency may take to answer, ms. */
const CHECK_DEADLINE_MS = 1_000;

/** A check rejects when its dependency is not there. */
export type Checks = Readonly<Record<string, () => Promise<void>>>;

export interface Readiness {
  readonly ready: boolean;
  readonly dependencies: Record<string, 'healthy' | 'unhealthy'>;
}

/** Asks all dependencies at once. */
export async function checkReadiness(checks: Checks, log: Logger): Promise<Readiness> {
  const outcomes = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await withDeadline(check(), CHECK_DEADLINE_MS, name);
        return [name, 'healthy'] as const;
      } catch (error) {
        log.warn({ dependency: name, err: messageOf(error) }, 'dependency is unhealthy');
        return [name, 'unhealthy'] as const;
      }
    }),
  );
  return {
    ready: outcomes.every(([, state]) => state === 'healthy'),
    dependencies: Object.fromEntries(outcomes),
  };
}
