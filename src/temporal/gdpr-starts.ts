/** Starts the workflow of a job that is written down, or finds the one that runs. */
import { WorkflowIdConflictPolicy, WorkflowIdReusePolicy } from '@temporalio/client';
import type { ActiveGdprJob } from '../activities/mysql/gdpr-jobs';
import { messageOf } from '../domain/errors';
import { GDPR_WORKFLOWS } from '../domain/gdpr';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import type { Logger } from '../logger';
import type { Temporal } from './client';

/** For one start, ms. */
const DEADLINE_MS = 3_000;

export class GdprStarts {
  constructor(
    private readonly deps: {
      readonly temporal: Temporal;
      readonly taskQueue: string;
      readonly log: Logger;
    },
  ) {}

  /** Rejects when Temporal does not take it; the sweep tries again. */
  async start({ kind, workflowId, input }: ActiveGdprJob): Promise<void> {
    const { jobId, requestedBy, userId, messageId } = input;
    const labels = [
      { key: SEARCH_ATTRIBUTES.request, value: kind },
      { key: SEARCH_ATTRIBUTES.requestedBy, value: requestedBy },
      { key: SEARCH_ATTRIBUTES.userId, value: userId },
      { key: SEARCH_ATTRIBUTES.messageId, value: messageId },
      { key: SEARCH_ATTRIBUTES.outcome, value: 'running' },
    ];
    await this.deps.temporal.within(DEADLINE_MS, (client) =>
      client.workflow.start(GDPR_WORKFLOWS[kind], {
        workflowId,
        workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
        workflowIdReusePolicy: WorkflowIdReusePolicy.ALLOW_DUPLICATE,
        taskQueue: this.deps.taskQueue,
        args: [input],
        typedSearchAttributes: labels.flatMap(({ key, value }) =>
          value === undefined ? [] : [{ key, value }],
        ),
        staticSummary: `${kind}, job ${jobId}, requested by ${requestedBy}`,
      }),
    );
  }

  /** Resolves when the workflow has ended, however, or after `ms`. */
  async ended(workflowId: string, ms: number): Promise<void> {
    try {
      await this.deps.temporal.within(ms, (client) =>
        client.workflow.getHandle(workflowId).result(),
      );
    } catch (error) {
      // It failed, or the time is up: the job's row says which.
      this.deps.log.debug({ err: messageOf(error) }, 'job not done yet, or failed');
    }
  }
}
