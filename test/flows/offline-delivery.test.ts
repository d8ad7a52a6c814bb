import type { Client } from '@temporalio/client';
import type { RunningWorker } from '../../src/worker';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

describe('offline delivery', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  let temporal: Client;

  beforeAll(async () => {
    // The worker first: it makes the topics.
    system = await startSystem();
    worker = await startTestWorker(system.config);
    temporal = await connectTemporal(system.config);
    await waitFor('the worker to be ready', 40_000, async () => {
      const response = await fetch(`http://127.0.0.1:${worker.httpPort}/ready`);
      return response.status === 200;
    });
  }, 60_000);
  afterAll(async () => {
    await worker.close();
    await temporal.connection.close();
    await system.close();
  });

  const handleOf = (userId: string) => temporal.workflow.getHandle(`offline-delivery/${userId}`);

  it('delivers what waited, in order, when the user comes back, without being asked', async () => {
    const [sender, recipient] = [unique('sender'), unique('recipient')];
    for (let i = 1; i <= 10; i++) {
      const answer = await system.send(sender, recipient, `message ${i}`);
      expect(answer).toMatchObject({ success: true, status: 'offline' });
    }
    await system.gateway.connect(recipient, 'phone');
    const pushes = await system.gateway.received(recipient, 10);
    expect(pushes.map((push) => push.content)).toEqual(
      Array.from({ length: 10 }, (_, i) => `message ${i + 1}`),
    );
    expect(await handleOf(recipient).result()).toEqual({
      outcome: 'drained',
      delivered: expect.any(Number) as number,
      pending: 0,
    });
    await waitFor('the status to say so', 5_000, async () => {
      const status = await system.client.status(pushes[9]!.msg_id);
      return status.status === 'delivered' && status.delivered_devices[0] === 'phone';
    });
  });

  it('drains 500 messages in order with nothing twice', async () => {
    const [sender, recipient] = [unique('sender'), unique('recipient')];
    for (let i = 0; i < 10; i++) {
      await Promise.all(Array.from({ length: 50 }, () => system.send(sender, recipient)));
    }
    await system.gateway.connect(recipient, 'phone');
    const pushes = await system.gateway.received(recipient, 500, 20_000);
    expect(await handleOf(recipient).result()).toMatchObject({ outcome: 'drained', pending: 0 });
    const numbers = pushes.map((push) => Number(push.sequence_number));
    expect(new Set(numbers).size).toBe(500);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(system.gateway.pushesOf(recipient)).toHaveLength(500);
  }, 60_000);
});
