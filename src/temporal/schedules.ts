/** The schedules of the service: made at start, or brought up to date. */
import { ScheduleAlreadyRunning, ScheduleOverlapPolicy } from '@temporalio/client';
import type { Client, ScheduleOptions } from '@temporalio/client';
import { SWEEP_WORKFLOW } from '../domain/delivery';
import { messageOf } from '../domain/errors';
import { RETENTION_WORKFLOW } from '../domain/retention';
import type { Logger } from '../logger';
import type { Temporal } from './client';

export const SWEEP_SCHEDULE = 'im-sweep';
export const RETENTION_SCHEDULE = 'im-retention';
/** For making or updating a schedule, ms. */
const DEADLINE_MS = 10_000;
/** A sweep that was due longer ago than this is left out, ms: the next one does its work. */
const CATCH_UP_MS = 60_000;
/** A sweep that no worker ends would hold up all that follow. */
const SWEEP_TIMEOUT = '15 minutes';
/** The first run over years of rows takes long; what it leaves the next one goes on with. */
const RETENTION_TIMEOUT = '1 day';

export interface ScheduleSettings {
  readonly taskQueue: string;
  readonly intervalS: number;
}

/** Any number of processes may do this at once. */
export async function ensureSweepSchedule(
  temporal: Temporal,
  settings: ScheduleSettings,
): Promise<void> {
  await ensure(temporal, settings, {
    scheduleId: SWEEP_SCHEDULE,
    workflowType: SWEEP_WORKFLOW,
    timeout: SWEEP_TIMEOUT,
  });
}

/** Any number of processes may do this at once. */
export async function ensureRetentionSchedule(
  temporal: Temporal,
  settings: ScheduleSettings,
): Promise<void> {
  await ensure(temporal, settings, {
    scheduleId: RETENTION_SCHEDULE,
    workflowType: RETENTION_WORKFLOW,
    timeout: RETENTION_TIMEOUT,
  });
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

interface ScheduledWorkflow {
  /** Also the id of the workflow. */
  readonly scheduleId: string;
  readonly workflowType: string;
  readonly timeout: '15 minutes' | '1 day';
}

async function ensure(
  temporal: Temporal,
  { taskQueue, intervalS }: ScheduleSettings,
  { scheduleId, workflowType, timeout }: ScheduledWorkflow,
): Promise<void> {
  const schedule = {
    spec: { intervals: [{ every: intervalS * 1000 }] },
    action: {
      type: 'startWorkflow' as const,
      workflowType,
      workflowId: scheduleId,
      taskQueue,
      workflowExecutionTimeout: timeout,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: CATCH_UP_MS },
  } satisfies Omit<ScheduleOptions, 'scheduleId'>;
  await temporal.within(DEADLINE_MS, (client) =>
    createOrUpdate(client, { scheduleId, ...schedule }),
  );
}

async function createOrUpdate(
  client: Client,
  { scheduleId, ...schedule }: ScheduleOptions,
): Promise<void> {
  try {
    await client.schedule.create({ scheduleId, ...schedule });
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    // `state` stays: an operator may have paused it.
    await client.schedule
      .getHandle(scheduleId)
      .update((previous) => ({ ...previous, ...schedule }));
  }
}
