/** The frame of the workflows about personal data: how they wait, tell, and end. */
import type { WorkflowHandle } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Worker } from '@temporalio/worker';
import type { WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { LEGAL_HOLD, STEP_FAILS, SYSTEM_AWAY } from '../../src/domain/gdpr';
import type { GdprJobActivities, GdprProof, GdprRecord, GdprStatus } from '../../src/domain/gdpr';
import { SEARCH_ATTRIBUTES } from '../../src/domain/search-attributes';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { waitFor } from '../support/wait';
import type { ExampleActivities, gdprExample } from '../support/workflows/gdpr-example';

type Handle = WorkflowHandle<typeof gdprExample>;
type Finished = GdprProof & { reason?: string };

const away = (system: string) =>
  ApplicationFailure.retryable(`${system} is away`, SYSTEM_AWAY, { system });

/** As Temporal's UI shows them. */
async function detailsOf(handle: Handle): Promise<string> {
  const metadata = await handle.query<{ currentDetails?: string }, []>(
    '__temporal_workflow_metadata',
  );
  return metadata.currentDetails ?? '';
}

describe('a job about personal data', () => {
  let env: TestWorkflowEnvironment;
  let bundle: WorkflowBundleWithSourceMap;
  let calls: string[];
  let records: GdprRecord[];
  let finished: Finished[];

  beforeAll(async () => {
    env = await startTimeSkipping();
    bundle = await bundleWorkflowCode({
      workflowsPath: require.resolve('../support/workflows/gdpr-example'),
      logger: new DefaultLogger('ERROR'),
    });
  }, 60_000);
  afterAll(() => env?.teardown());
  beforeEach(() => ([calls, records, finished] = [[], [], []]));

  /** Starts one, runs a worker while `during` lasts, and replays what happened. */
  async function run<T>(
    given: Partial<ExampleActivities & GdprJobActivities>,
    during: (handle: Handle) => Promise<T>,
  ): Promise<T> {
    const taskQueue = unique('queue');
    const handle = await env.client.workflow.start<typeof gdprExample>('gdprExample', {
      workflowId: unique('gdpr'),
      taskQueue,
      args: [{ jobId: 'job-1', requestedBy: 'officer', userId: 'alice' }],
    });
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle: bundle,
      activities: {
        cleanMysql: () => {
          calls.push('mysql');
          return Promise.resolve({ rows: 3 });
        },
        cleanRedis: () => {
          calls.push('redis');
          return Promise.resolve({ keys: 1 });
        },
        recordGdprJob: (record: GdprRecord) => Promise.resolve(void records.push(record)),
        finishGdprJob: (proof: Finished) => Promise.resolve(void finished.push(proof)),
        ...given,
      },
    });
    const result = await worker.runUntil(during(handle));
    await Worker.runReplayHistory({ workflowBundle: bundle }, await handle.fetchHistory());
    return result;
  }

  test('ends with what was found where and what expires by itself, written down', async () => {
    const proof = await run({}, async (handle) => {
      const result = await handle.result();
      const { typedSearchAttributes } = await handle.describe();
      expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.outcome)).toBe('done');
      expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.request)).toBe('erase');
      expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.userId)).toBe('alice');
      expect(typedSearchAttributes.get(SEARCH_ATTRIBUTES.requestedBy)).toBe('officer');
      return result;
    });
    expect(proof).toMatchObject({
      jobId: 'job-1',
      state: 'done',
      steps: [
        { name: 'mysql', state: 'done', counts: { rows: 3 } },
        { name: 'redis', state: 'done', counts: { keys: 1 } },
      ],
      expires: [{ what: 'kafka:offline_msg', at: 7 }],
    });
    expect(finished).toEqual([proof]);
    expect(calls).toEqual(['mysql', 'redis']);
  });

  test('waits for a server that is away, says which, and goes on when it is back', async () => {
    let back = false;
    const cleanRedis = () => (back ? Promise.resolve({ keys: 1 }) : Promise.reject(away('redis')));
    const proof = await run({ cleanRedis }, async (handle) => {
      let status: GdprStatus | undefined;
      await waitFor('the job to wait', 20_000, async () => {
        status = await handle.query<GdprStatus, []>('status');
        return status.waitingFor === 'redis';
      });
      expect(status?.steps).toMatchObject([
        { name: 'mysql', state: 'done' },
        { name: 'redis', state: 'waiting', waitingFor: 'redis' },
      ]);
      back = true;
      return handle.result();
    });
    expect(proof.state).toBe('done');
    expect(calls).toEqual(['mysql']);
    expect(records.at(-1)?.steps[1]).toMatchObject({ state: 'waiting', waitingFor: 'redis' });
  });

  test('says what a step fails with when nothing is away, and goes on once that is repaired', async () => {
    let repaired = false;
    const failure = { system: 'redis', problem: 'WRONGTYPE' };
    const cleanRedis = () =>
      repaired
        ? Promise.resolve({ keys: 1 })
        : Promise.reject(ApplicationFailure.retryable('redis: WRONGTYPE', STEP_FAILS, failure));
    const proof = await run({ cleanRedis }, async (handle) => {
      let status: GdprStatus | undefined;
      await waitFor('the job to say so', 20_000, async () => {
        status = await handle.query<GdprStatus, []>('status');
        return status.problem !== undefined;
      });
      expect(status).toMatchObject({ state: 'running', problem: 'WRONGTYPE' });
      expect(status?.waitingFor).toBeUndefined();
      expect(await detailsOf(handle)).toContain('- redis: fails with WRONGTYPE, is tried again');
      repaired = true;
      return handle.result();
    });
    expect(proof.steps[1]).toEqual(expect.not.objectContaining({ problem: 'WRONGTYPE' }));
    expect(records.at(-1)?.steps[1]).toMatchObject({ state: 'waiting', problem: 'WRONGTYPE' });
  });

  test('ends although its progress could not be written down meanwhile', async () => {
    const recordGdprJob = () => Promise.reject(away('mysql'));
    expect((await run({ recordGdprJob }, (handle) => handle.result())).state).toBe('done');
  });

  test('is not over before its end is written down, and says what that waits for', async () => {
    let back = false;
    const finishGdprJob = (proof: Finished) => {
      if (!back) return Promise.reject(away('mysql'));
      finished.push(proof);
      return Promise.resolve();
    };
    const proof = await run({ finishGdprJob }, async (handle) => {
      await waitFor('the job to wait', 20_000, async () => {
        return (await handle.query<GdprStatus, []>('status')).waitingFor === 'mysql';
      });
      expect(await detailsOf(handle)).toContain('waits for mysql');
      back = true;
      return handle.result();
    });
    expect(proof.state).toBe('done');
    expect(finished).toHaveLength(1);
  });

  test('ends as blocked when a legal hold stands against it', async () => {
    const cleanMysql = () => Promise.reject(ApplicationFailure.nonRetryable('on hold', LEGAL_HOLD));
    const proof = await run({ cleanMysql }, (handle) => handle.result());
    expect(proof.state).toBe('blocked');
    expect(finished).toMatchObject([{ state: 'blocked' }]);
    expect(calls).toEqual([]);
  });

  test('fails visibly when retrying cannot mend it', async () => {
    const cleanRedis = () => Promise.reject(ApplicationFailure.nonRetryable('no', 'Unmendable'));
    await run({ cleanRedis }, (handle) =>
      expect(handle.result()).rejects.toMatchObject({ name: 'WorkflowFailedError' }),
    );
    expect(finished).toMatchObject([{ state: 'failed', reason: 'Unmendable' }]);
  });

  test('that is canceled while it waits ends as canceled', async () => {
    const cleanRedis = () => Promise.reject(away('redis'));
    await run({ cleanRedis }, async (handle) => {
      await waitFor('the job to wait', 20_000, async () => {
        return (await handle.query<GdprStatus, []>('status')).waitingFor === 'redis';
      });
      await handle.cancel();
      await expect(handle.result()).rejects.toMatchObject({
        cause: expect.any(CancelledFailure) as Error,
      });
    });
    expect(finished).toMatchObject([{ state: 'canceled' }]);
  });
});
