/** ROUTING_EXECUTOR=temporal: the same answers, each message visible in Temporal, its content not. */
import { temporal as proto } from '@temporalio/proto';
import type { Client } from '@temporalio/client';
import type { RunningWorker } from '../../src/worker';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

let system: TestSystem;
let worker: RunningWorker;
let temporal: Client;

beforeAll(async () => {
  // A task queue of its own: the worker must be the one that knows this test's user service.
  system = await startSystem({
    ROUTING_EXECUTOR: 'temporal',
    IM_TEMPORAL_TASK_QUEUE: unique('routing'),
  });
  worker = await startTestWorker(system.config);
  temporal = await connectTemporal(system.config);
  await waitFor('the worker', 30_000, async () => {
    return (await fetch(`http://127.0.0.1:${worker.httpPort}/ready`)).status === 200;
  });
}, 60_000);
afterAll(async () => {
  await worker.close();
  await temporal.connection.close();
  await system.close();
});

test('online, offline and refused messages are answered as by the local executor', async () => {
  const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
  expect(await system.send(alice, bob)).toMatchObject({ success: true, status: 'offline' });
  await system.gateway.connect(bob, 'phone');
  await waitFor('bob to be online', 5_000, async () => {
    return (await system.send(alice, bob)).status === 'delivered';
  });
  const first = await system.send(alice, bob, 'once', msgId);
  const again = await system.send(alice, bob, 'once', msgId);
  expect(again).toMatchObject({
    success: true,
    sequence_number: first.sequence_number,
    code: 'DUPLICATE_MESSAGE',
  });
  expect(await system.send(alice, 'unknown_bob')).toMatchObject({ code: 'INVALID_RECIPIENT' });
});

test('a message is visible in Temporal by its id, without its content', async () => {
  const [msgId, canary] = [unique('msg'), unique('canary')];
  await system.send(unique('alice'), unique('bob'), canary, msgId);
  const { executions } = await temporal.workflowService.listActivityExecutions({
    namespace: system.config.TEMPORAL_NAMESPACE,
    pageSize: 100,
    query: `ActivityType = "routePrivateMessage"`,
  });
  const id = executions.map((e) => e.activityId ?? '').find((i) => i.includes(msgId)) as string;
  expect(id).toContain(`route-private/${msgId}/`);
  const described = await temporal.workflowService.describeActivityExecution({
    namespace: system.config.TEMPORAL_NAMESPACE,
    activityId: id,
    includeInput: true,
    includeOutcome: true,
  });
  const { DescribeActivityExecutionResponse } = proto.api.workflowservice.v1;
  const bytes = Buffer.from(DescribeActivityExecutionResponse.encode(described).finish());
  expect(bytes.includes(msgId)).toBe(true);
  expect(bytes.includes(canary)).toBe(false);
});
