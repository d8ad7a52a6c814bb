import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import type { WorkflowHandleWithSignaledRunId } from '@temporalio/client';
import { ApplicationFailure, WorkflowNotFoundError } from '@temporalio/common';
import { GATEWAY_UNREACHABLE } from '../../src/domain/delivery';
import type { DeliveryActivities, DeliveryStatus, PageResult } from '../../src/domain/delivery';
import { SEARCH_ATTRIBUTES } from '../../src/domain/search-attributes';
import type { offlineDelivery } from '../../src/workflows';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { workflowBundle } from '../support/worker';

type Handle = WorkflowHandleWithSignaledRunId<typeof offlineDelivery>;

/** When pages were asked for, env time in ms, how many of them as local activities; failures recorded. */
interface Seen {
  readonly pages: number[];
  quick: number;
  readonly failures: string[];
}

const SECOND_MS = 1_000;
/**
 * Between two wakes, ms: none is within 180 ms of the end of a pause, but for the last pause, which none
 * follows. The time-skipping server refuses a workflow task that cancels a timer which has fired meanwhile
 * (temporalio/sdk-java#3088).
 */
const WAKE_MS = 660;
const unreachable: PageResult = { outcome: 'unreachable', delivered: 0, pending: 3 };
const drained: PageResult = { outcome: 'drained', delivered: 0, pending: 0 };

describe('the offline delivery workflow', () => {
  let env: TestWorkflowEnvironment;

  beforeAll(async () => {
    env = await startTimeSkipping();
  }, 60_000);
  afterAll(() => env?.teardown());

  /** Runs `work` with a worker whose pages are what `page` says, and counts the calls. */
  async function withPages(
    page: (call: number, handle: Handle) => PageResult | Promise<PageResult>,
    work: (handle: Handle, seen: Seen) => Promise<void>,
  ): Promise<void> {
    const taskQueue = unique('queue');
    const userId = unique('user');
    const seen: Seen = { pages: [], quick: 0, failures: [] };
    // Started first: the worker's activities know the handle.
    const handle = await env.client.workflow.signalWithStart<typeof offlineDelivery>(
      'offlineDelivery',
      {
        workflowId: `offline-delivery/${userId}`,
        taskQueue,
        args: [{ userId }],
        signal: 'wake',
      },
    );
    const deliver = async (): Promise<PageResult> => {
      seen.pages.push(await env.currentTimeMs());
      return page(seen.pages.length, handle);
    };
    const activities: DeliveryActivities = {
      deliverInboxPage: deliver,
      deliverFirstPage: () => {
        seen.quick += 1;
        return deliver();
      },
      recordDeliveryFailure: (input) => {
        seen.failures.push(input.userId);
        return Promise.resolve();
      },
      sweepPage: () => Promise.reject(new Error('not of this workflow')),
    };
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle,
      activities,
    });
    await worker.runUntil(work(handle, seen));
  }

  const pausesOf = (times: readonly number[]) =>
    times.slice(1).map((time, i) => Math.round((time - times[i]!) / SECOND_MS));
  const attributesOf = async (handle: Handle) => {
    const { typedSearchAttributes: found } = await handle.describe();
    return {
      user: found.get(SEARCH_ATTRIBUTES.userId),
      request: found.get(SEARCH_ATTRIBUTES.request),
      outcome: found.get(SEARCH_ATTRIBUTES.outcome),
      pending: found.get(SEARCH_ATTRIBUTES.pending),
    };
  };

  it('pushes page after page until nothing waits, and says how many', async () => {
    await withPages(
      (call) =>
        call < 4 ? { outcome: 'more', delivered: 100, pending: 400 - call * 100 } : drained,
      async (handle, seen) => {
        expect(await handle.result()).toEqual({ outcome: 'drained', delivered: 300, pending: 0 });
        expect(seen.pages).toHaveLength(4);
        expect(seen.quick).toBe(1);
        expect(await attributesOf(handle)).toEqual({
          user: handle.workflowId.split('/')[1],
          request: 'delivery',
          outcome: 'drained',
          pending: 0,
        });
      },
    );
  });

  it('ends well when the user has gone, and leaves the rest in the inbox', async () => {
    await withPages(
      () => ({ outcome: 'absent', delivered: 2, pending: 5 }),
      async (handle) => {
        expect(await handle.result()).toEqual({ outcome: 'absent', delivered: 2, pending: 5 });
      },
    );
  });

  it('tries again after 1, 2, 4, 8 and 16 s, then fails for operators to see', async () => {
    await withPages(
      () => unreachable,
      async (handle, seen) => {
        const failure = handle.result();
        await expect(failure).rejects.toMatchObject({
          cause: { type: GATEWAY_UNREACHABLE, nonRetryable: true },
        });
        await expect(failure).rejects.toHaveProperty(
          'cause.message',
          expect.stringContaining('0 delivered, 3 waiting'),
        );
        expect(pausesOf(seen.pages)).toEqual([1, 2, 4, 8, 16]);
        // None of them costs Temporal an activity.
        expect(seen.quick).toBe(6);
        expect(seen.failures).toEqual([handle.workflowId.split('/')[1]]);
        expect(await attributesOf(handle)).toMatchObject({
          outcome: 'gateway_unreachable',
          pending: 3,
        });
      },
    );
  });

  it('is patient anew after something was delivered', async () => {
    await withPages(
      (call) => (call === 4 ? { ...unreachable, delivered: 1 } : unreachable),
      async (handle, seen) => {
        await expect(handle.result()).rejects.toBeDefined();
        expect(pausesOf(seen.pages)).toEqual([1, 2, 4, 1, 2, 4, 8, 16]);
      },
    );
  });

  it('tries at once when it is woken in a pause', async () => {
    await withPages(
      (call, handle) => {
        if (call < 5) return unreachable;
        // Within the pause of 16 s.
        if (call === 5) void env.sleep('3 seconds').then(() => handle.signal('wake'));
        return call === 5 ? unreachable : drained;
      },
      async (handle, seen) => {
        expect(await handle.result()).toMatchObject({ outcome: 'drained' });
        expect(pausesOf(seen.pages)).toEqual([1, 2, 4, 8, 3]);
      },
    );
  });

  it('fails after the same 31 s, however often it is woken', async () => {
    await withPages(
      () => unreachable,
      async (handle, seen) => {
        // Its result is asked for at the end: waiting for it lets the time jump from pause to pause.
        const began = await env.currentTimeMs();
        for (let wakes = 1, over = false; !over; wakes++) {
          await env.sleep(began + wakes * WAKE_MS - (await env.currentTimeMs()));
          await handle.signal('wake').catch((error: unknown) => {
            if (!(error instanceof WorkflowNotFoundError)) throw error;
            over = true;
          });
        }
        await expect(handle.result()).rejects.toMatchObject({
          cause: { type: GATEWAY_UNREACHABLE },
        });
        const [first, last] = [seen.pages[0]!, seen.pages.at(-1)!];
        expect(seen.pages.length).toBeGreaterThan(20);
        // Pages are timed by their activities, pauses by workflow tasks.
        expect(Math.round((last - first) / SECOND_MS)).toBeGreaterThanOrEqual(31);
        expect(last - first).toBeLessThan(40 * SECOND_MS);
      },
    );
  }, 120_000);

  it('looks again when a wake came while it found nothing', async () => {
    await withPages(
      async (call, handle) => {
        if (call === 1) await handle.signal('wake');
        return call === 2 ? { ...drained, delivered: 1 } : drained;
      },
      async (handle, seen) => {
        expect(await handle.result()).toMatchObject({ delivered: 1 });
        expect(seen.pages.length).toBeGreaterThanOrEqual(2);
      },
    );
  });

  it('sits out an inbox that cannot be read for a while', async () => {
    await withPages(
      (call) => {
        if (call < 6) throw ApplicationFailure.retryable('MySQL is away', 'ECONNREFUSED');
        return { ...drained, delivered: 1 };
      },
      async (handle) => {
        expect(await handle.result()).toMatchObject({ outcome: 'drained', delivered: 1 });
      },
    );
  });

  it('answers where it stands', async () => {
    await withPages(
      (call) => (call === 1 ? { outcome: 'unreachable', delivered: 4, pending: 3 } : drained),
      async (handle) => {
        await handle.result();
        expect(await handle.query<DeliveryStatus>('status')).toEqual({
          userId: handle.workflowId.split('/')[1],
          step: 'done',
          delivered: 4,
          pending: 0,
          attempts: 1,
        });
      },
    );
  });
});
