/** A present user whose gateway fails for good, and the commands of the README's operator page. */
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { Inbox } from '../../src/activities/mysql/inbox';
import { GATEWAY_UNREACHABLE } from '../../src/domain/delivery';
import type { RunningWorker } from '../../src/worker';
import { TestGateway } from '../support/gateway';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { temporalCli } from '../support/temporal-cli';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

describe('a delivery that fails visibly', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  let temporal: Client;
  let broken: TestGateway;
  let db: Database;
  let inbox: Inbox;
  const users = Array.from({ length: 3 }, (_, i) => unique(`recipient${i}`));
  const workflowId = (userId: string) => `offline-delivery/${userId}`;
  const failedOf = (prefix: string) =>
    `WorkflowType="offlineDelivery" AND ExecutionStatus="Failed" ` +
    `AND ImOutcome="gateway_unreachable" AND ImUserId STARTS_WITH "${prefix}"`;

  beforeAll(async () => {
    system = await startSystem();
    worker = await startTestWorker(system.config);
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    inbox = new Inbox(db);
    broken = await TestGateway.start(system.config.ETCD_ENDPOINTS);
    broken.mood = 'failing';
    for (const userId of users) {
      await system.send(unique('sender'), userId, 'kept');
      await broken.connect(userId, 'phone');
    }
    // Patience is 31 s (test/workflows); the sweep may be what starts it.
    await waitFor('the deliveries to fail', 100_000, async () => {
      const states = await Promise.all(
        users.map((user) => temporal.workflow.getHandle(workflowId(user)).describe()),
      ).catch(() => []);
      return states.length === 3 && states.every(({ status }) => status.name === 'FAILED');
    });
  }, 160_000);
  afterAll(async () => {
    await worker.close();
    await temporal.connection.close();
    await broken.stop();
    await system.close();
    await db.close();
  }, 60_000);

  it('is listed by search attribute, and shows why without content', async () => {
    let listed = '';
    await waitFor('visibility', 10_000, async () => {
      listed = await temporalCli('workflow', 'list', '--query', failedOf(users[0]!));
      return listed.includes(workflowId(users[0]!));
    });
    const shown = await temporalCli(
      'workflow',
      'show',
      '--workflow-id',
      workflowId(users[0]!),
      '--output',
      'json',
    );
    expect(shown).toContain(GATEWAY_UNREACHABLE);
    expect(shown).toContain('0 delivered, 1 waiting');
    expect(shown).not.toContain('kept');
    const described = await temporalCli(
      'workflow',
      'describe',
      '--workflow-id',
      workflowId(users[0]!),
    );
    expect(described).toContain('gateway_unreachable');
  });

  it('leaves the message in the inbox, and is not started again by the sweep', async () => {
    const handle = temporal.workflow.getHandle(workflowId(users[0]!));
    const { runId } = await handle.describe();
    await temporal.workflow.execute('sweep', {
      workflowId: unique('sweep'),
      taskQueue: system.config.IM_TEMPORAL_TASK_QUEUE,
    });
    expect(await handle.describe()).toMatchObject({ runId, status: { name: 'FAILED' } });
    expect(await inbox.pendingCount(users[0]!)).toBe(1);
  });

  it('delivers when one is replayed, when all are, and when one is started by hand', async () => {
    broken.mood = 'well';
    await temporalCli(
      'workflow',
      'reset',
      '--workflow-id',
      workflowId(users[0]!),
      '--type',
      'FirstWorkflowTask',
      '--reason',
      'gateway repaired',
    );
    expect(await broken.received(users[0]!, 1)).toMatchObject([{ content: 'kept' }]);

    await temporalCli(
      'workflow',
      'reset',
      '--query',
      failedOf(users[1]!),
      '--type',
      'FirstWorkflowTask',
      '--reason',
      'gateway repaired',
      '--yes',
    );
    expect(await broken.received(users[1]!, 1)).toMatchObject([{ content: 'kept' }]);

    await temporalCli(
      'workflow',
      'start',
      '--type',
      'offlineDelivery',
      '--task-queue',
      system.config.IM_TEMPORAL_TASK_QUEUE,
      '--workflow-id',
      workflowId(users[2]!),
      '--input',
      JSON.stringify({ userId: users[2] }),
    );
    expect(await broken.received(users[2]!, 1)).toMatchObject([{ content: 'kept' }]);
    for (const userId of users) {
      expect(await temporal.workflow.getHandle(workflowId(userId)).result()).toMatchObject({
        outcome: 'drained',
        delivered: 1,
      });
    }
  }, 60_000);
});
