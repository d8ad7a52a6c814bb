import type { Kafka } from 'kafkajs';
import { partitionOf } from '../../../src/activities/kafka/partitioner';
import { BatchingProducer } from '../../../src/activities/kafka/producer';
import { createMetrics } from '../../../src/metrics';
import { connectKafka, createTopic, log } from '../../support/kafka';

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

/** Not how many: kafkajs appends again what a new topic's leader took only in part. */
async function withRecords(kafka: Kafka, topic: string): Promise<Set<number>> {
  const admin = kafka.admin();
  await admin.connect();
  const offsets = await admin.fetchTopicOffsets(topic);
  await admin.disconnect();
  return new Set(offsets.filter(({ low, high }) => low !== high).map(({ partition }) => partition));
}
