/** The real Kafka of the environment, with topics of the test's own. */
import { randomUUID } from 'node:crypto';
import type { Kafka, KafkaMessage } from 'kafkajs';
import { createKafka } from '../../src/activities/kafka/client';
import { BatchingProducer } from '../../src/activities/kafka/producer';
import { deadLetterTopic, ensureTopics } from '../../src/activities/kafka/topics';
import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';

export const log = createLogger(process.env['TEST_LOG_LEVEL'] ?? 'silent', 'test');

export function connectKafka(): Kafka {
  const { KAFKA_BROKERS } = loadConfig(process.env);
  return createKafka({ brokers: KAFKA_BROKERS, clientId: 'test', deadlineMs: 5_000, log });
}

/** A producer that is connected. */
export async function createProducer(kafka: Kafka): Promise<BatchingProducer> {
  const producer = new BatchingProducer({
    kafka,
    deadlineMs: 5_000,
    log,
    metrics: createMetrics(),
  });
  await producer.warmUp([]);
  return producer;
}

/** A topic nobody else uses, and its dead-letter topic. */
export async function createTopic(kafka: Kafka, partitions: number): Promise<string> {
  const topic = `test-${randomUUID()}`;
  const spec = { partitions, retentionMs: 3_600_000 };
  await ensureTopics(
    kafka,
    [
      { topic, ...spec },
      { topic: deadLetterTopic(topic), ...spec, partitions: 1 },
    ],
    { replication: 1, deadlineMs: 20_000, log },
  );
  return topic;
}

export interface ReadRecord {
  readonly key: string;
  readonly value: string;
  readonly headers: Record<string, string>;
}

/** Reads a topic from its beginning until `enough` holds. */
export async function readTopic(
  kafka: Kafka,
  topic: string,
  enough: (records: readonly ReadRecord[]) => boolean,
): Promise<ReadRecord[]> {
  const consumer = kafka.consumer({ groupId: `read-${randomUUID()}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const records: ReadRecord[] = [];
  await new Promise<void>((resolve) => {
    void consumer.run({
      eachMessage: ({ message }) => {
        records.push(toRecord(message));
        if (enough(records)) resolve();
        return Promise.resolve();
      },
    });
  });
  await consumer.disconnect();
  return records;
}

/** Reads a topic from its beginning until a record is as wanted, and resolves to that. */
export async function readUntil(
  kafka: Kafka,
  topic: string,
  wanted: (record: ReadRecord) => boolean,
): Promise<ReadRecord> {
  const consumer = kafka.consumer({ groupId: `read-${randomUUID()}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  try {
    await consumer.subscribe({ topic, fromBeginning: true });
    return await new Promise<ReadRecord>((resolve, reject) => {
      const eachMessage = ({ message }: { message: KafkaMessage }): Promise<void> => {
        const record = toRecord(message);
        if (wanted(record)) resolve(record);
        return Promise.resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
  } finally {
    await consumer.disconnect();
  }
}

function toRecord(message: KafkaMessage): ReadRecord {
  const headers = Object.entries(message.headers ?? {});
  return {
    key: message.key?.toString() ?? '',
    value: message.value?.toString() ?? '',
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
  };
}
