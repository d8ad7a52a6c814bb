/** The schedules of the service: made at start, or brought up to date. */
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Client, ScheduleOptions } from '@temporalio/client';
import { SWEEP_WORKFLOW } from '../domain/delivery';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { Temporal } from './client';

export const SWEEP_SCHEDULE = 'im-sweep';
/** For making or updating a schedule, ms. */
const DEADLINE_MS = 10_000;
/** A sweep that was due longer ago than this is left out, ms: the next one does its work. */
const CATCH_UP_MS = 60_000;
/** A sweep that no worker ends would hold up all that follow. */
const SWEEP_TIMEOUT = '15 minutes';

export interface SweepSchedule {
  readonly taskQueue: string;
  readonly intervalS: number;
}

/** Any number of processes may do this at once. */
export async function ensureSweepSchedule(
  temporal: Temporal,
  { taskQueue, intervalS }: SweepSchedule,
): Promise<void> {
  const schedule = {
    spec: { intervals: [{ every: intervalS * 1000 }] },
    action: {
      type: 'startWorkflow' as const,
      workflowType: SWEEP_WORKFLOW,
      workflowId: SWEEP_SCHEDULE,
      taskQueue,
      workflowExecutionTimeout: SWEEP_TIMEOUT,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCH_UP_MS },
  } satisfies Omit<ScheduleOptions, 'scheduleId'>;
  await temporal.within(DEADLINE_MS, (client) => createOrUpdate(client, schedule));
}

/** Runs the sweep now, unless one runs already. When that fails, the next one is soon anyway. */
export async function sweepSoon(temporal: Temporal, log: Logger): Promise<void> {
  try {
    await temporal.within(DEADLINE_MS, (client) =>
      client.schedule.getHandle(SWEEP_SCHEDULE).trigger(ScheduleOverlapPolicy.SKIP),
    );
  } catch (error) {
    log.debug({ err: messageOf(error) }, 'no sweep out of turn');
  }
}

async function createOrUpdate(
  client: Client,
  schedule: Omit<ScheduleOptions, 'scheduleId'>,
): Promise<void> {
  try {
    await client.schedule.create({ scheduleId: SWEEP_SCHEDULE, ...schedule });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // `state` stays: an operator may have paused it.
    await client.schedule
      .getHandle(SWEEP_SCHEDULE)
      .update((previous) => ({ ...previous, ...schedule }));
  }
}
