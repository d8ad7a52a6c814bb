import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import { TopicConsumer } from '../../../src/activities/kafka/consumer';
import { ConsumerProgress } from '../../../src/activities/kafka/consumer-progress';
import type { BatchingProducer } from '../../../src/activities/kafka/producer';
import { createMetrics } from '../../../src/metrics';
import { DeadLetters } from '../../../src/routing/dead-letters';
import { connectKafka, createProducer, createTopic, log } from '../../support/kafka';

const never = new AbortController().signal;

describe('progress of consumers', () => {
  let kafka: Kafka;
  let producer: BatchingProducer;

  beforeAll(async () => {
    kafka = connectKafka();
    producer = await createProducer(kafka);
  });
  afterAll(() => producer.close());

  it('is made when everything is handled that was there, not what comes after', async () => {
    const [topic, empty] = [await createTopic(kafka, 4), await createTopic(kafka, 1)];
    const groupId = randomUUID();
    const progress = new ConsumerProgress(kafka, [
      { topic, groupId },
      { topic: empty, groupId: randomUUID() },
    ]);
    const append = (value: number) =>
      producer.append(topic, { key: `${value}`, value: `${value}` });
    await Promise.all(Array.from({ length: 20 }, (_, i) => append(i)));
    // Nobody has read anything: it says of which topic, and only of that.
    await expect(progress.caughtUp(300, never)).rejects.toMatchObject({
      name: 'ConsumersBehind',
      topics: [topic],
    });

    const handled = new Set<number>();
    const consumer = new TopicConsumer<number>({
      kafka,
      topic,
      groupId,
      concurrency: 4,
      decode: Number,
      // Whatever comes later is never done with.
      handle: async (values) => {
        for (const value of values) {
          if (value >= 20) throw new Error('not now');
          handled.add(value);
        }
        return Promise.resolve(values.map(() => undefined));
      },
      deadLetters: new DeadLetters({ producer, keys: undefined }),
      log,
      metrics: createMetrics(),
    });
    consumer.start();
    try {
      await progress.caughtUp(30_000, never);
      expect(handled.size).toBe(20);
      await append(20);
      await expect(progress.caughtUp(1_000, never)).rejects.toMatchObject({ topics: [topic] });
    } finally {
      await consumer.close();
    }
  });

  it('is not waited for once the caller gives up', async () => {
    const topic = await createTopic(kafka, 1);
    await producer.append(topic, { key: 'k', value: '1' });
    const progress = new ConsumerProgress(kafka, [{ topic, groupId: randomUUID() }]);
    await expect(progress.caughtUp(60_000, AbortSignal.abort())).rejects.toMatchObject({
      name: 'ConsumersBehind',
    });
  });
});
