/** The sweep: what one of its parts cannot do keeps none of the others. */
import type { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { PARTS_LEFT } from '../../src/domain/delivery';
import type { SweepPage, SweepResult } from '../../src/domain/delivery';
import type { sweep } from '../../src/workflows';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { workflowBundle } from '../support/worker';

describe('the sweep', () => {
  let env: TestWorkflowEnvironment;

  beforeAll(async () => {
    env = await startTimeSkipping();
  }, 60_000);
  afterAll(() => env?.teardown());

  /** Runs a sweep whose pages over inboxes are what `page` says; resolves with what was called, too. */
  async function run(
    page: (after: string) => Promise<SweepPage>,
    receipts: () => Promise<{ next?: string }> = () => Promise.resolve({}),
  ): Promise<{ outcome: SweepResult | WorkflowFailedError; called: string[] }> {
    const taskQueue = unique('queue');
    const called: string[] = [];
    const call = <T>(name: string, work: () => Promise<T>): Promise<T> => {
      if (called.at(-1) !== name) called.push(name);
      return work();
    };
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle,
      activities: {
        sweepPage: ({ after }: { after: string }) => call(`page ${after}`, () => page(after)),
        sweepReceipts: () => call('receipts', receipts),
        sweepGdprJobs: () => call('jobs', () => Promise.resolve({})),
      },
    });
    const outcome = await worker.runUntil(
      env.client.workflow
        .execute<typeof sweep>('sweep', { workflowId: unique('sweep'), taskQueue, args: [] })
        .catch((error: WorkflowFailedError) => error),
    );
    return { outcome, called };
  }

  const away = () => Promise.reject(new Error('the registry cannot be asked'));

  it('makes its passes one after the other, and counts', async () => {
    const { outcome, called } = await run((after) =>
      Promise.resolve({ examined: 2, requested: 1, ...(after === '' && { next: '/' }) }),
    );
    expect(outcome).toEqual({ examined: 4, requested: 2 });
    expect(called).toEqual(['page ', 'page /', 'receipts', 'jobs']);
  });

  it('sweeps receipts and jobs also while the registry is away, and then fails', async () => {
    const { outcome, called } = await run((after) =>
      after === '' ? Promise.resolve({ examined: 2, requested: 1, next: '/' }) : away(),
    );
    expect(called).toEqual(['page ', 'page /', 'receipts', 'jobs']);
    const { cause } = outcome as WorkflowFailedError;
    expect(cause).toBeInstanceOf(ApplicationFailure);
    expect(cause).toMatchObject({
      type: PARTS_LEFT,
      message: 'not swept: deliveries',
      details: [{ examined: 2, requested: 1 }],
    });
  }, 60_000);

  it('says of each part that it was not done', async () => {
    const { outcome, called } = await run(away, away);
    expect(called).toEqual(['page ', 'receipts', 'jobs']);
    expect((outcome as WorkflowFailedError).cause).toMatchObject({
      message: 'not swept: deliveries, receipts',
    });
  }, 60_000);
});
