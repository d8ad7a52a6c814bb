/** A worker that starts while Temporal is away stores messages, and delivers them when it is back. */
import { unique } from '../support/ids';
import { without } from '../support/stack';
import { startSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker } from '../support/worker';
import { Inbox } from '../../src/activities/mysql/inbox';
import { openDatabase } from '../support/mysql';
import type { RunningWorker } from '../../src/worker';

test('a worker starts without Temporal, and is whole by itself once Temporal is back', async () => {
  const system = await startSystem();
  const db = await openDatabase();
  const inbox = new Inbox(db);
  const bob = unique('bob');
  let worker: RunningWorker | undefined;
  const readiness = async () => {
    const response = await fetch(`http://127.0.0.1:${worker?.httpPort}/ready`);
    return (await response.json()) as { status: string; dependencies: Record<string, string> };
  };
  await without('temporal', async () => {
    worker = await startTestWorker(system.config);
    await system.send(unique('alice'), bob, 'kept');
    await waitFor('the row', 30_000, async () => (await inbox.pendingCount(bob)) === 1);
    expect((await readiness()).dependencies).toMatchObject({
      temporal: 'unhealthy',
      temporal_worker: 'unhealthy',
      offline_consumer: 'healthy',
    });
    await system.gateway.connect(bob, 'phone');
  });
  await waitFor('the worker', 40_000, async () => (await readiness()).status === 'ready');
  expect(await system.gateway.received(bob, 1, 60_000)).toMatchObject([{ content: 'kept' }]);
  await worker?.close();
  await system.close();
  await db.close();
}, 180_000);
