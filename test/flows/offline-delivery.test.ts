import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import { deadLetterTopic, TOPICS } from '../../src/activities/kafka/topics';
import type { Database } from '../../src/activities/mysql/database';
import { Inbox } from '../../src/activities/mysql/inbox';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { encodeOffline } from '../../src/domain/records';
import type { RunningWorker } from '../../src/worker';
import { unique } from '../support/ids';
import { connectKafka, createProducer, readTopic } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { message, offline } from '../support/records';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

describe('offline delivery', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  const extra: RunningWorker[] = [];
  let temporal: Client;
  let db: Database;
  let inbox: Inbox;

  beforeAll(async () => {
    // The worker first: it makes the topics.
    system = await startSystem();
    worker = await startTestWorker(system.config);
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    inbox = new Inbox(db);
    await waitFor('the worker to be ready', 40_000, async () => {
      const response = await fetch(`http://127.0.0.1:${worker.httpPort}/ready`);
      return response.status === 200;
    });
  }, 60_000);
  afterAll(async () => {
    await Promise.all([worker, ...extra].map((each) => each.close()));
    await temporal.connection.close();
    await system.close();
    await db.close();
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

  it('puts a record aside that MySQL never takes, and stores its neighbors', async () => {
    const userId = unique('recipient');
    const kafka = connectKafka();
    const producer = await createProducer(kafka);
    const [before, after] = [message({ recipientId: userId }), message({ recipientId: userId })];
    const tooLong = message({ recipientId: userId, content: 'x'.repeat(70_000) });
    await Promise.all(
      [before, tooLong, after].map((each) =>
        producer.append(TOPICS.offline, { key: userId, value: encodeOffline(each, userId) }),
      ),
    );
    await waitFor('both neighbors', 20_000, async () => (await inbox.pendingCount(userId)) === 2);
    const records = await readTopic(kafka, deadLetterTopic(TOPICS.offline), (all) =>
      all.some(({ key }) => key === userId),
    );
    expect(records.find(({ key }) => key === userId)?.headers).toMatchObject({
      reason: 'MySQL does not take it: ER_DATA_TOO_LONG',
      source_topic: TOPICS.offline,
    });
    await producer.close();
  });

  it('is begun by the sweep when no signal came: a message stored past the worker', async () => {
    const userId = unique('recipient');
    await system.gateway.connect(userId, 'phone');
    const store = new MessageStore(db, { ttlMs: 60_000 });
    await store.storeOffline([offline({ recipientId: userId })]);
    await temporal.workflow.execute('sweep', {
      workflowId: unique('sweep'),
      taskQueue: system.config.IM_TEMPORAL_TASK_QUEUE,
    });
    await system.gateway.received(userId, 1);
    expect(await handleOf(userId).result()).toMatchObject({ outcome: 'drained', delivered: 1 });
  });

  it('is asked for by one of two workers, not by both', async () => {
    const second = await startTestWorker(system.config);
    extra.push(second);
    const users = Array.from({ length: 20 }, () => unique('recipient'));
    await waitFor('the partitions to be shared', 40_000, async () => {
      const counts = await Promise.all([worker, second].map(partitionsOf));
      return counts[0] === counts[1] && counts[0]! > 0;
    });
    for (const userId of users) {
      const answer = await system.send(unique('sender'), userId);
      expect(answer).toMatchObject({ success: true, status: 'offline' });
    }
    await waitFor('all to be stored', 20_000, async () => {
      return (await inbox.hasPending(users)).length === users.length;
    });
    // Whoever stores a message then looks whether its recipient is back: that is to be over, or it asks, too.
    await sleep(2_000);
    await Promise.all(users.map((userId) => system.gateway.connect(userId, 'phone')));
    await Promise.all(users.map((userId) => system.gateway.received(userId, 1)));
    const signals = await Promise.all(users.map(signalsOf));
    // The periodic sweep may add one, and a second worker would have added twenty.
    expect(signals.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(users.length + 2);
  }, 90_000);

  async function partitionsOf({ httpPort }: RunningWorker): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
    return Number(/consumer_partitions\{topic="offline_msg"\} (\d+)/.exec(text)?.[1] ?? 0);
  }

  async function signalsOf(userId: string): Promise<number> {
    const { events } = await handleOf(userId).fetchHistory();
    return (events ?? []).filter((event) => event.workflowExecutionSignaledEventAttributes).length;
  }
});
