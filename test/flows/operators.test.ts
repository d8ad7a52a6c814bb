/** Operators replay failed deliveries with Temporal's CLI alone, by the very commands of the README. */
import { WorkflowNotFoundError } from '@temporalio/client';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import type { RunningWorker } from '../../src/worker';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { commandsIn, TemporalCli } from '../support/temporal-cli';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

let system: TestSystem;
let worker: RunningWorker;
let temporal: Client;
let db: Database;
let cli: TemporalCli;

beforeAll(async () => {
  system = await startSystem();
  worker = await startTestWorker(system.config);
  temporal = await connectTemporal(system.config);
  cli = new TemporalCli(system.config, commandsIn('README.md', 'operator'));
  db = await openDatabase();
}, 60_000);
afterAll(async () => {
  await worker.close();
  await temporal.connection.close();
  await db.close();
  await system.close();
});

const operate = (comment: string, userId = '') => cli.operate(comment, { USER_ID: userId });

/** `NONE` before the delivery is started. */
async function statusOf(userId: string): Promise<string> {
  try {
    const handle = temporal.workflow.getHandle(`offline-delivery/${userId}`);
    return (await handle.describe()).status.name;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 'NONE';
    throw error;
  }
}

test('failed deliveries are listed, explained, replayed one by one and all at once', async () => {
  const [one, two, three] = [unique('one'), unique('two'), unique('three')];
  const users = [one, two, three];
  system.gateway.mood = 'failing';
  for (const user of users) {
    await system.gateway.connect(user, 'phone');
    for (let i = 0; i < 3; i++) {
      const answer = await system.send(unique('alice'), user, `message ${i}`);
      expect(answer).toMatchObject({ success: true, status: 'offline' });
    }
  }
  // 1 + 2 + 4 + 8 + 16 s of patience.
  await waitFor('the deliveries to fail', 90_000, async () =>
    (await Promise.all(users.map(statusOf))).every((status) => status === 'FAILED'),
  );
  expect(system.gateway.pushesOf(one)).toEqual([]);

  await waitFor('the failures to be listed', 10_000, async () => {
    const listed = await operate('list the deliveries that failed');
    return users.every((user) => listed.includes(`offline-delivery/${user}`));
  });
  const described = await operate('see why one failed, and how much waits', one);
  expect(described).toContain('no gateway takes messages: 0 delivered, 3 waiting');
  expect(described).not.toContain('message 0');

  // The sweep leaves alone what has failed visibly; the messages are still there.
  await temporal.workflow.execute('sweep', {
    workflowId: unique('sweep'),
    taskQueue: system.config.IM_TEMPORAL_TASK_QUEUE,
  });
  expect(await statusOf(one)).toBe('FAILED');
  const [head] = await db.select<{ pending: number }>(
    'SELECT pending FROM inbox_heads WHERE user_id = ?',
    [one],
  );
  expect(head?.pending).toBe(3);

  system.gateway.mood = 'well';
  await operate('replay one', one);
  expect((await system.gateway.received(one, 3, 20_000)).map((push) => push.content)).toEqual([
    'message 0',
    'message 1',
    'message 2',
  ]);
  expect(system.gateway.pushesOf(two)).toEqual([]);

  await operate('replay all that failed');
  await system.gateway.received(two, 3, 30_000);
  await system.gateway.received(three, 3, 30_000);
  await waitFor('the deliveries to end well', 20_000, async () =>
    (await Promise.all(users.map(statusOf))).every((status) => status === 'COMPLETED'),
  );
  for (const user of users) expect(system.gateway.pushesOf(user)).toHaveLength(3);
}, 180_000);

test('a delivery can be asked for by hand', async () => {
  const user = unique('user');
  expect(await operate('ask for a delivery by hand', user)).toContain(`offline-delivery/${user}`);
  await waitFor('it to end', 20_000, async () => (await statusOf(user)) === 'COMPLETED');
});
