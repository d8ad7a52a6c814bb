/** The workflows that destroy: until when they can be canceled, and that they wait for whatever they need. */
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import type { EraseActivities, EraseInput } from '../../src/domain/erasure';
import { BEGUN, SYSTEM_AWAY } from '../../src/domain/gdpr';
import type {
  GdprInput,
  GdprJobActivities,
  GdprProof,
  GdprStatus,
  GdprSystem,
} from '../../src/domain/gdpr';
import type { DeleteActivities, DeleteInput } from '../../src/domain/gdpr-delete';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { waitFor } from '../support/wait';
import { workflowBundle } from '../support/worker';

type Activities = DeleteActivities & EraseActivities & GdprJobActivities;

const DELETION: DeleteInput = {
  jobId: 'job-1',
  requestedBy: 'alice',
  userId: 'alice',
  messageId: 'm',
  senderId: 'alice',
  conversation: { type: 'private', key: 'alice/bob' },
};
const ERASURE: EraseInput = { jobId: 'job-1', requestedBy: 'officer', userId: 'alice' };

describe('a workflow that destroys', () => {
  let env: TestWorkflowEnvironment;
  let ended: string[];
  let called: Set<string>;
  /** The activity that fails, as if its server were away. */
  let stuck: string | undefined;
  /** Whether what fails has listed the id all the same. */
  let listed = false;

  beforeAll(async () => (env = await startTimeSkipping()), 60_000);
  afterAll(() => env?.teardown());
  beforeEach(() => ([ended, called, stuck] = [[], new Set(), undefined]));

  function activities(): Activities {
    const done =
      <T>(name: string, system: GdprSystem, result: T) =>
      (): Promise<T> => {
        called.add(name);
        if (stuck !== name) return Promise.resolve(result);
        throw ApplicationFailure.retryable('away', SYSTEM_AWAY, { system });
      };
    return {
      listErased: done('listErased', 'mysql', { listed_until: 9 }),
      forgetInRedis: done('forgetInRedis', 'redis', {}),
      removeContent: done('removeContent', 'mysql', {}),
      removeExports: done('removeExports', 'mysql', {}),
      removeFromGroupLog: done('removeFromGroupLog', 'mysql', {}),
      clearInboxes: done('clearInboxes', 'mysql', {}),
      removeReceipts: done('removeReceipts', 'mysql', {}),
      forgetCounts: done('forgetCounts', 'redis', {}),
      dateKafkaCopies: done('dateKafkaCopies', 'kafka', { offline_msg: 7 }),
      hideMessage: done('hideMessage', 'mysql', {}),
      checkErasureHolds: done('checkErasureHolds', 'mysql', {}),
      findUserTraces: done('findUserTraces', 'mysql', { keys: 1 }),
      destroyUserKeys: done('destroyUserKeys', 'mysql', undefined),
      eraseUserMessages: done('eraseUserMessages', 'mysql', undefined),
      eraseUserInbox: done('eraseUserInbox', 'mysql', undefined),
      eraseUserReceipts: done('eraseUserReceipts', 'mysql', undefined),
      eraseUserGroups: done('eraseUserGroups', 'mysql', undefined),
      eraseUserInRedis: done('eraseUserInRedis', 'redis', undefined),
      eraseUserExports: done('eraseUserExports', 'mysql', undefined),
      verifyErasure: done('verifyErasure', 'mysql', {}),
      dateUserCopies: done('dateUserCopies', 'kafka', [{ what: 'kafka:offline_msg', at: 7 }]),
      recordGdprJob: () => Promise.resolve(),
      finishGdprJob: async ({ state }) => {
        await done('finishGdprJob', 'mysql', undefined)();
        // What MySQL decides: an attempt to list the id may have succeeded, though its answer was lost.
        if (state === 'canceled' && called.has('listErased') && listed) {
          throw ApplicationFailure.nonRetryable('listed', BEGUN);
        }
        ended.push(state);
      },
      sweepGdprJobs: () => Promise.reject(new Error('not of these workflows')),
    };
  }

  /** Runs one until it waits in `activity`, does the rest, and replays what happened. */
  async function run(
    workflow: 'gdprDeleteMessage' | 'gdprEraseUser',
    activity: string,
    then: (handle: WorkflowHandle) => Promise<void>,
    more: Partial<GdprInput> = {},
  ): Promise<void> {
    stuck = activity;
    const taskQueue = unique('queue');
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle,
      activities: activities(),
    });
    const handle = await env.client.workflow.start(workflow, {
      workflowId: unique('gdpr'),
      taskQueue,
      args: [{ ...(workflow === 'gdprDeleteMessage' ? DELETION : ERASURE), ...more }],
    });
    await worker.runUntil(async () => {
      await waitFor(`it to wait in ${activity}`, 20_000, async () => {
        const { waitingFor } = await handle.query<GdprStatus, []>('status');
        return waitingFor !== undefined;
      });
      await then(handle);
    });
    const history = await handle.fetchHistory();
    await Worker.runReplayHistory({ workflowBundle }, history);
  }

  test.each([
    ['gdprDeleteMessage', 'listErased'],
    ['gdprEraseUser', 'findUserTraces'],
  ] as const)('%s can be canceled before it destroys', async (workflow, activity) => {
    await run(workflow, activity, async (handle) => {
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({ cause: { name: 'CancelledFailure' } });
    });
    expect(ended).toEqual(['canceled']);
  });

  test('gdprDeleteMessage goes to its end when a cancellation crosses the listing, and says why', async () => {
    listed = true;
    await run('gdprDeleteMessage', 'listErased', async (handle) => {
      await handle.cancel();
      await waitFor('it to say so', 20_000, async () => {
        const { currentDetails } = await handle.query<{ currentDetails?: string }, []>(
          '__temporal_workflow_metadata',
        );
        return currentDetails?.includes('came too late') ?? false;
      });
      expect(called).toEqual(new Set(['listErased', 'finishGdprJob']));
      stuck = undefined;
      const { state, steps } = (await handle.result()) as GdprProof;
      expect([state, steps[0]?.name, steps.at(-1)?.name]).toEqual(['done', 'erased_list', 'kafka']);
    });
    listed = false;
    expect(ended).toEqual(['done']);
  });

  test.each(['gdprDeleteMessage', 'gdprEraseUser'] as const)(
    '%s that was canceled destroys nothing in a run that continues it',
    async (workflow) => {
      const ending = { state: 'canceled' } as const;
      await run(
        workflow,
        'finishGdprJob',
        async (handle) => {
          stuck = undefined;
          await expect(handle.result()).rejects.toMatchObject({
            cause: { name: 'CancelledFailure' },
          });
        },
        { ending },
      );
      expect(ended).toEqual(['canceled']);
      expect(called).toEqual(new Set(['finishGdprJob']));
    },
  );

  test.each([
    ['gdprDeleteMessage', 'forgetInRedis'],
    ['gdprDeleteMessage', 'dateKafkaCopies'],
    ['gdprEraseUser', 'eraseUserInRedis'],
    ['gdprEraseUser', 'dateUserCopies'],
  ] as const)('%s goes to its end afterwards, also from %s, and says why', async (workflow, at) => {
    await run(workflow, at, async (handle) => {
      await handle.cancel();
      await waitFor('it to say so', 20_000, async () => {
        const { currentDetails } = await handle.query<{ currentDetails?: string }, []>(
          '__temporal_workflow_metadata',
        );
        return currentDetails?.includes('came too late') ?? false;
      });
      stuck = undefined;
      const { state, steps, expires } = (await handle.result()) as GdprProof;
      expect([state, steps.at(-1)?.name]).toEqual(['done', 'kafka']);
      expect(expires).toContainEqual({ what: 'kafka:offline_msg', at: 7 });
    });
    expect(ended).toEqual(['done']);
  });
});
