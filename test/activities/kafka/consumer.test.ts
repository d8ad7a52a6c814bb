import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import type { BatchOptions, Refusal } from '../../../src/activities/kafka/batches';
import { TopicConsumer } from '../../../src/activities/kafka/consumer';
import type { BatchingProducer } from '../../../src/activities/kafka/producer';
import { deadLetterTopic } from '../../../src/activities/kafka/topics';
import { PoisonRecordError } from '../../../src/domain/records';
import { createMetrics } from '../../../src/metrics';
import { DeadLetters } from '../../../src/routing/dead-letters';
import { connectKafka, createProducer, createTopic, log, readTopic } from '../../support/kafka';
import { waitFor } from '../../support/wait';

describe('a consumer', () => {
  let kafka: Kafka;
  let producer: BatchingProducer;
  const open: TopicConsumer<number>[] = [];

  beforeAll(async () => {
    kafka = connectKafka();
    producer = await createProducer(kafka);
  });
  afterEach(() => Promise.all(open.splice(0).map((consumer) => consumer.close())));
  afterAll(() => producer.close());

  function consume(
    topic: string,
    groupId: string,
    handle: BatchOptions<number>['handle'],
  ): TopicConsumer<number> {
    const consumer = new TopicConsumer<number>({
      kafka,
      topic,
      groupId,
      concurrency: 4,
      decode: (value) => {
        const number = Number(value);
        if (Number.isNaN(number)) throw new PoisonRecordError('not a number');
        return number;
      },
      handle,
      deadLetters: new DeadLetters({ producer, keys: undefined }),
      log,
      metrics: createMetrics(),
    });
    open.push(consumer);
    consumer.start();
    return consumer;
  }

  const append = (topic: string, values: readonly (string | number)[], key = 'k') =>
    Promise.all(values.map((value) => producer.append(topic, { key, value: String(value) })));
  const accept = (records: readonly number[]): Refusal[] => records.map(() => undefined);
  const range = (from: number, to: number) =>
    Array.from({ length: to - from + 1 }, (_, i) => from + i);

  it('puts a poison record aside with the reason, and the partition goes on', async () => {
    const topic = await createTopic(kafka, 1);
    const seen: number[] = [];
    await append(topic, [1, 'poison', 2, 3]);
    consume(topic, randomUUID(), (records) => {
      seen.push(...records);
      return Promise.resolve(records.map((n) => (n === 2 ? 'not 2' : undefined)));
    });
    await append(topic, [4]);
    await waitFor('4 was handled', 20_000, () => Promise.resolve(seen.includes(4)));
    expect(seen).toEqual([1, 2, 3, 4]);
    const dead = await readTopic(kafka, deadLetterTopic(topic), ({ length }) => length >= 2);
    expect(dead).toEqual([
      {
        key: 'k',
        value: 'poison',
        headers: {
          reason: 'not a number',
          source_topic: topic,
          source_partition: '0',
          source_offset: '1',
        },
      },
      {
        key: 'k',
        value: '2',
        headers: expect.objectContaining({ reason: 'not 2', source_offset: '2' }) as object,
      },
    ]);
  });

  it('holds records while they cannot be handled, and then handles each of them', async () => {
    const topic = await createTopic(kafka, 1);
    const handled: number[] = [];
    let attempts = 0;
    await append(topic, [1, 2, 3]);
    consume(topic, randomUUID(), (records) => {
      attempts += 1;
      if (attempts < 4) return Promise.reject(new Error('the database is away'));
      handled.push(...records);
      return Promise.resolve(accept(records));
    });
    await waitFor('all were handled', 20_000, () => Promise.resolve(handled.length >= 3));
    expect(handled).toEqual([1, 2, 3]);
  });

  it('goes on, in a new process, after what was handled and not before', async () => {
    const topic = await createTopic(kafka, 2);
    const groupId = randomUUID();
    const first: number[] = [];
    const second: number[] = [];
    await append(topic, range(1, 50), 'a');
    const one = consume(topic, groupId, (records) => {
      first.push(...records);
      return Promise.resolve(accept(records));
    });
    await waitFor('the first 50 were handled', 20_000, () => Promise.resolve(first.length === 50));
    await one.close();
    await append(topic, range(51, 100), 'a');
    consume(topic, groupId, (records) => {
      second.push(...records);
      return Promise.resolve(accept(records));
    });
    await waitFor('the others were handled', 20_000, () => Promise.resolve(second.length >= 50));
    expect(second).toEqual(range(51, 100));
  });

  it('reads on while something is left of records, and commits them when that is done', async () => {
    const topic = await createTopic(kafka, 1);
    const groupId = randomUUID();
    const handled: number[] = [];
    let attempts = 0;
    let finish: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (finish = resolve));
    await append(topic, [1, 2]);
    consume(topic, groupId, (records, later) => {
      handled.push(...records);
      const isFailing = (): boolean => records.includes(3) && (attempts += 1) < 3;
      if (records.includes(3)) {
        later(async () => {
          if (isFailing()) throw new Error('the database is away');
          await finished;
        });
      }
      return Promise.resolve(accept(records));
    });
    const committed = async (): Promise<number> => {
      const admin = kafka.admin();
      await admin.connect();
      const [found] = await admin.fetchOffsets({ groupId, topics: [topic] });
      await admin.disconnect();
      return Number(found?.partitions[0]?.offset);
    };
    const isCommitted = (count: number) => async () => (await committed()) === count;
    await waitFor('2 are committed', 20_000, isCommitted(2));
    await append(topic, [3]);
    await waitFor('3 is handled', 20_000, () => Promise.resolve(handled.includes(3)));
    await append(topic, [4, 5]);
    await waitFor('5 is handled', 20_000, () => Promise.resolve(handled.includes(5)));
    await waitFor('a third attempt', 20_000, () => Promise.resolve(attempts === 3));
    expect(await committed()).toBe(2);
    finish();
    await waitFor('all is committed', 20_000, isCommitted(5));
    expect(handled).toEqual([1, 2, 3, 4, 5]);
  }, 60_000);

  it('hands records out anew to who comes after a process that left something of them', async () => {
    const topic = await createTopic(kafka, 1);
    const groupId = randomUUID();
    const [first, second]: [number[], number[]] = [[], []];
    await append(topic, [1, 2, 3]);
    const one = consume(topic, groupId, (records, later) => {
      first.push(...records);
      if (records.includes(2)) later(() => Promise.reject(new Error('the database is away')));
      return Promise.resolve(accept(records));
    });
    await waitFor('all were handled', 20_000, () => Promise.resolve(first.includes(3)));
    await one.close();
    consume(topic, groupId, (records) => {
      second.push(...records);
      return Promise.resolve(accept(records));
    });
    await waitFor('they come again', 20_000, () => Promise.resolve(second.includes(3)));
    expect(second).toContain(2);
  }, 60_000);

  it('shares the partitions with another process, and knows which are its own', async () => {
    const topic = await createTopic(kafka, 4);
    const groupId = randomUUID();
    const handle = (records: readonly number[]) => Promise.resolve(accept(records));
    const one = consume(topic, groupId, handle);
    await waitFor('one has all', 20_000, () => Promise.resolve(one.assigned.size === 4));
    await expect(one.check()).resolves.toBeUndefined();
    const two = consume(topic, groupId, handle);
    await waitFor('each has half', 20_000, () =>
      Promise.resolve(one.assigned.size === 2 && two.assigned.size === 2),
    );
    expect(new Set([...one.assigned, ...two.assigned]).size).toBe(4);
    await one.close();
    await expect(one.check()).rejects.toThrow('not in the consumer group');
    await waitFor('the other has all', 20_000, () => Promise.resolve(two.assigned.size === 4));
  });
});
