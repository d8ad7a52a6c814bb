import type { Kafka } from 'kafkajs';
import { partitionOf } from '../../../src/activities/kafka/partitioner';
import { BatchingProducer } from '../../../src/activities/kafka/producer';
import { createMetrics } from '../../../src/metrics';
import { connectKafka, createProducer, createTopic, log, readTopic } from '../../support/kafka';
import { waitFor } from '../../support/wait';

const PARTITIONS = 8;
const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`);

describe('the records of one append', () => {
  const kafka = connectKafka();
  const metrics = createMetrics();

  async function partitionsAfter(
    topic: string,
    unordered: ReadonlySet<string>,
  ): Promise<Set<number>> {
    const producer = new BatchingProducer({ kafka, deadlineMs: 5_000, unordered, log, metrics });
    await producer.warmUp([topic]);
    await Promise.all(KEYS.map((key) => producer.append(topic, { key, value: 'x' })));
    await producer.close();
    return withRecords(kafka, topic);
  }

  it('lie where their keys say', async () => {
    const topic = await createTopic(kafka, PARTITIONS);
    const expected = new Set(KEYS.map((key) => partitionOf(key, PARTITIONS)));
    expect(await partitionsAfter(topic, new Set())).toEqual(expected);
  });

  it('share a partition on a topic without an order', async () => {
    const topic = await createTopic(kafka, PARTITIONS);
    expect((await partitionsAfter(topic, new Set([topic]))).size).toBe(1);
  });
});

describe('more large records for one partition than Kafka takes in one request', () => {
  const kafka = connectKafka();
  const COUNT = 150;

  it('are all stored, and records of other topics are taken meanwhile', async () => {
    const [topic, other] = await Promise.all([createTopic(kafka, 1), createTopic(kafka, 1)]);
    const producer = await createProducer(kafka);
    await producer.warmUp([topic, other]);
    const value = 'x'.repeat(11_000);
    await Promise.all(
      Array.from({ length: COUNT }, (_, i) => [
        producer.append(topic, { key: String(i), value }),
        producer.append(other, { key: String(i), value: 'y' }),
      ]).flat(),
    );
    await producer.close();
    const read = await readTopic(kafka, topic, (records) => records.length >= COUNT);
    expect(new Set(read.map(({ key }) => key)).size).toBe(COUNT);
  });
});

/** Not how many: a new topic's leader may take an append only in part, and then it is sent again. */
async function withRecords(kafka: Kafka, topic: string): Promise<Set<number>> {
  const admin = kafka.admin();
  await admin.connect();
  let offsets: Awaited<ReturnType<typeof admin.fetchTopicOffsets>> = [];
  try {
    await waitFor('leaders for the partitions without records, too', 20_000, async () => {
      try {
        offsets = await admin.fetchTopicOffsets(topic);
      } catch (error) {
        if (!/not the leader/.test(String(error))) throw error;
      }
      return offsets.length > 0;
    });
  } finally {
    await admin.disconnect();
  }
  return new Set(offsets.filter(({ low, high }) => low !== high).map(({ partition }) => partition));
}
