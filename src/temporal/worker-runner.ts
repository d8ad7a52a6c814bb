/**
 * The Temporal worker, kept running: Temporal may be away when the process starts, or go away for
 * good under a running worker. Consumers and presence go on without it.
 */
import { NativeConnection, Worker } from '@temporalio/worker';
import type { WorkerOptions } from '@temporalio/worker';
import { sleep } from '../activities/sleep';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';

/** First and longest pause between attempts, ms. */
const RETRY_FIRST_MS = 500;
const RETRY_LONGEST_MS = 10_000;
/** Workflows kept in memory: each is small, and idle ones are replayed from history. */
const MAX_CACHED_WORKFLOWS = 500;
/**
 * Polls for workflow tasks at once, and the share of them for workflows that are not in memory: the
 * first task of each is such a one, and most deliveries have no other. With the SDK's 10 and 0.2 two
 * polls serve everyone who comes back, about 20 users a second (bench/NOTES.md).
 */
const WORKFLOW_POLLS = 20;
const NEW_WORKFLOW_SHARE = 0.8;
/** Activities at once: each holds a page of messages and, now and then, a MySQL connection. */
const MAX_ACTIVITIES = 50;

export interface WorkerRunnerOptions {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  /** The workflow code, bundled before or to be bundled now. */
  readonly workflows: Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;
  readonly activities: object;
  /** What must be there in Temporal before work begins; tried again with everything else. */
  readonly prepare: () => Promise<void>;
  readonly graceMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class WorkerRunner {
  private readonly stopping = new AbortController();
  private worker: Worker | undefined;
  private running: Promise<void> | undefined;

  constructor(private readonly options: WorkerRunnerOptions) {}

  start(): void {
    this.running ??= this.live();
  }

  /** Rejects while no worker polls. */
  check(): Promise<void> {
    if (this.worker?.getState() === 'RUNNING') return Promise.resolve();
    return Promise.reject(new Error('the Temporal worker does not run'));
  }

  /** Takes no more tasks, and resolves when those at hand have ended, at most after the grace. */
  async close(): Promise<void> {
    this.stopping.abort();
    if (this.worker?.getState() === 'RUNNING') this.worker.shutdown();
    await this.running;
  }

  private async live(): Promise<void> {
    let pause = RETRY_FIRST_MS;
    while (!this.stopping.signal.aborted) {
      try {
        await this.oneLife(() => (pause = RETRY_FIRST_MS));
      } catch (error) {
        this.options.log.warn({ err: messageOf(error) }, 'Temporal worker ended, beginning anew');
      }
      await sleep(pause, this.stopping.signal);
      pause = Math.min(pause * 2, RETRY_LONGEST_MS);
    }
  }

  private async oneLife(started: () => void): Promise<void> {
    const { address, namespace, taskQueue, workflows, activities, graceMs } = this.options;
    const { log, metrics } = this.options;
    const connection = await NativeConnection.connect({ address });
    try {
      await this.options.prepare();
      const worker = await Worker.create({
        connection,
        namespace,
        taskQueue,
        ...workflows,
        activities,
        maxCachedWorkflows: MAX_CACHED_WORKFLOWS,
        workflowTaskPollerBehavior: { type: 'simple-maximum', maximum: WORKFLOW_POLLS },
        nonStickyToStickyPollRatio: NEW_WORKFLOW_SHARE,
        maxConcurrentActivityTaskExecutions: MAX_ACTIVITIES,
        shutdownGraceTime: graceMs * 0.6,
        shutdownForceTime: graceMs,
      });
      const running = worker.run();
      this.worker = worker;
      started();
      metrics.temporalWorker.set(1);
      log.info({ taskQueue }, 'Temporal worker runs');
      // Asked to stop while it was made: only a worker that runs can be ended.
      if (this.stopping.signal.aborted) worker.shutdown();
      await running;
    } finally {
      metrics.temporalWorker.set(0);
      this.worker = undefined;
      await connection.close();
    }
  }
}
