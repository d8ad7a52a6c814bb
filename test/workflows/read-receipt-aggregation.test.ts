/** When the receipts workflow publishes, waits and ends, in skipped time. */
import type { WorkflowHandleWithSignaledRunId } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { RECEIPT_WINDOW_MS } from '../../src/domain/receipt-workflow';
import type { PublishResult, ReceiptActivities } from '../../src/domain/receipt-workflow';
import type { readReceiptAggregation } from '../../src/workflows';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { workflowBundle } from '../support/worker';

type Handle = WorkflowHandleWithSignaledRunId<typeof readReceiptAggregation>;

const none: PublishResult = { published: 0, more: false };

describe('the receipts workflow', () => {
  let env: TestWorkflowEnvironment;

  beforeAll(async () => (env = await startTimeSkipping()), 60_000);
  afterAll(() => env?.teardown());

  /** Runs it to its end; the pages are what `page` says. Resolves to the result and the pages' times. */
  async function run(
    page: (call: number, handle: Handle) => PublishResult | Promise<PublishResult>,
  ): Promise<{ published: number; times: number[]; history: number }> {
    const taskQueue = unique('queue');
    const senderId = unique('sender');
    const times: number[] = [];
    const handle = await env.client.workflow.signalWithStart<typeof readReceiptAggregation>(
      'readReceiptAggregation',
      {
        workflowId: `read-receipts/${senderId}`,
        taskQueue,
        args: [{ senderId }],
        signal: 'receipts',
      },
    );
    const activities: ReceiptActivities = {
      publishReceipts: async (input) => {
        expect(input).toEqual({ senderId });
        times.push(await env.currentTimeMs());
        return page(times.length, handle);
      },
      sweepReceipts: () => Promise.reject(new Error('not of this workflow')),
    };
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle,
      activities,
    });
    const { published } = await worker.runUntil(handle.result());
    const history = await handle.fetchHistory();
    // Whatever happened must be replayed the same way.
    await Worker.runReplayHistory({ workflowBundle }, history);
    return { published, times, history: history.events?.length ?? 0 };
  }

  test('looks again a window after it was woken, and ends when nothing came', async () => {
    const { published, times } = await run((call) =>
      call === 1 ? { published: 3, more: false } : none,
    );
    expect(published).toBe(3);
    expect(times).toHaveLength(2);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(RECEIPT_WINDOW_MS);
  });

  test('goes on at once while there is more', async () => {
    const { published, times } = await run((call) => ({ published: 500, more: call < 5 }));
    expect(published).toBe(500 * times.length);
    expect((times[4] ?? 0) - (times[0] ?? 0)).toBeLessThan(RECEIPT_WINDOW_MS);
  });

  test('stays a whole window after its last wake', async () => {
    let wokenAt = 0;
    const { times } = await run(async (call, handle) => {
      if (call !== 2) return none;
      wokenAt = await env.currentTimeMs();
      await handle.signal('receipts');
      return none;
    });
    expect((times.at(-1) ?? 0) - wokenAt).toBeGreaterThanOrEqual(RECEIPT_WINDOW_MS);
  });

  test('sits out a publisher that fails for a while', async () => {
    const { published } = await run((call) => {
      if (call <= 3) throw new Error('Kafka is away');
      return { published: call === 4 ? 7 : 0, more: false };
    });
    expect(published).toBe(7);
  });

  test('keeps its history small, whatever the number of receipts', async () => {
    const { published, history } = await run((call) => ({ published: 10_000, more: call < 2 }));
    expect(published).toBeGreaterThanOrEqual(20_000);
    expect(history).toBeLessThan(50);
  });
});
