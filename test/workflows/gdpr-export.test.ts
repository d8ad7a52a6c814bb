/** The workflow of an export: its steps, how it goes on, and what it tells. */
import { ApplicationFailure, WorkflowFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import { SECTIONS } from '../../src/domain/export';
import { BUNDLE_GONE } from '../../src/domain/export-workflow';
import type { ExportActivities } from '../../src/domain/export-workflow';
import { SYSTEM_AWAY } from '../../src/domain/gdpr';
import type { GdprJobActivities, GdprProof, GdprStep } from '../../src/domain/gdpr';
import type { gdprExport } from '../../src/workflows';
import { unique } from '../support/ids';
import { startTimeSkipping } from '../support/time-skipping';
import { workflowBundle } from '../support/worker';

type Activities = ExportActivities & GdprJobActivities;

describe('the export workflow', () => {
  let env: TestWorkflowEnvironment;
  let calls: string[];

  beforeAll(async () => (env = await startTimeSkipping()), 60_000);
  afterAll(() => env?.teardown());

  /** Runs it to its end, and replays what happened. */
  async function run(
    given: Partial<Activities> = {},
    soFar?: readonly GdprStep[],
  ): Promise<GdprProof> {
    calls = [];
    const called = <T>(name: string, result: T): Promise<T> => {
      calls.push(name);
      return Promise.resolve(result);
    };
    const activities: Activities = {
      exportCatchUp: () => called('kafka', undefined),
      exportBegin: () => called('begin', undefined),
      exportSection: ({ section }) => called(section, { records: 2, done: true }),
      exportFinish: () => called('finish', { counts: { chunks: 1 }, expiresAt: 99 }),
      recordGdprJob: () => Promise.resolve(),
      finishGdprJob: ({ state }) => called(`ended ${state}`, undefined),
      sweepGdprJobs: () => Promise.reject(new Error('not of this workflow')),
      ...given,
    };
    const taskQueue = unique('queue');
    const worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue,
      workflowBundle,
      activities,
    });
    const handle = await env.client.workflow.start<typeof gdprExport>('gdprExport', {
      workflowId: unique('gdpr-export'),
      taskQueue,
      args: [{ jobId: 'job-1', requestedBy: 'alice', userId: 'alice', ...(soFar && { soFar }) }],
    });
    try {
      return await worker.runUntil(handle.result());
    } finally {
      const history = await handle.fetchHistory();
      await Worker.runReplayHistory({ workflowBundle }, history);
    }
  }

  test('reads one thing after the other, and tells how much there was and until when it is kept', async () => {
    const { state, steps, expires } = await run();
    expect(calls).toEqual([
      ...['kafka', 'begin', 'messages', 'receipts', 'devices', 'audit', 'finish'],
      'ended done',
    ]);
    expect(state).toBe('done');
    expect(steps.map(({ name, counts }) => [name, counts])).toContainEqual([
      'mysql:messages',
      { records: 2 },
    ]);
    expect(expires).toEqual([{ what: 'bundle', at: 99 }]);
  });

  test('goes on in a section until that is done', async () => {
    let turns = 0;
    const { steps } = await run({
      exportSection: ({ section }) => {
        if (section !== 'messages') return Promise.resolve({ records: 0, done: true });
        turns += 1;
        return Promise.resolve({ records: turns * 1_000, done: turns === 5 });
      },
    });
    expect(steps.find(({ name }) => name === 'mysql:messages')?.counts).toEqual({ records: 5_000 });
  });

  test('sits out consumers that are behind for an hour', async () => {
    let attempts = 0;
    const { state } = await run({
      exportCatchUp: () => {
        attempts += 1;
        if (attempts > 120) return Promise.resolve();
        throw ApplicationFailure.retryable('behind', SYSTEM_AWAY, { system: 'kafka' });
      },
    });
    expect([state, attempts]).toEqual(['done', 121]);
  });

  test('that continued as new after its last step tells the same, without making anything again', async () => {
    const soFar = ['kafka', 'mysql', ...SECTIONS.map((name) => `mysql:${name}`), 'bundle'].map(
      (name): GdprStep => ({
        name,
        state: 'done',
        startedAt: 1,
        counts: name === 'bundle' ? { chunks: 1, expires_at: 99 } : {},
      }),
    );
    expect((await run({}, soFar)).expires).toEqual([{ what: 'bundle', at: 99 }]);
    expect(calls).toEqual(['ended done']);
  });

  test('fails at once when something in the bundle was deleted meanwhile', async () => {
    const failed = run({
      exportSection: () =>
        Promise.reject(ApplicationFailure.nonRetryable('it was removed', BUNDLE_GONE)),
    });
    await expect(failed).rejects.toBeInstanceOf(WorkflowFailedError);
    expect(calls).toEqual(['kafka', 'begin', 'ended failed']);
  });
});
