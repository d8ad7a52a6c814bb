/** One event for each receipt, whatever happens between the append and its mark. */
import type { Kafka } from 'kafkajs';
import { PartitionReader } from '../../src/activities/kafka/partition-reader';
import type { BatchingProducer } from '../../src/activities/kafka/producer';
import { ReceiptEvents } from '../../src/activities/kafka/receipt-events';
import { ensureTopics, topicSpecs } from '../../src/activities/kafka/topics';
import type { Database } from '../../src/activities/mysql/database';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { ReceiptLog } from '../../src/activities/mysql/receipt-log';
import type { Receipt } from '../../src/domain/receipts';
import { createMetrics } from '../../src/metrics';
import { ReceiptPublisher } from '../../src/routing/publish-receipts';
import { unique } from '../support/ids';
import { connectKafka, createProducer, log } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { ReceiptListener } from '../support/receipts';
import { message } from '../support/records';
import { testConfig } from '../support/system';
import { waitFor } from '../support/wait';

/** How the clock of the tests passes the pause after an append that was given up. */
const SETTLED_MS = 11_000;

describe('the publisher of receipts', () => {
  let kafka: Kafka;
  let producer: BatchingProducer;
  let db: Database;
  let topic: ReceiptListener;

  beforeAll(async () => {
    kafka = connectKafka();
    const options = { replication: 1, deadlineMs: 40_000, log };
    await ensureTopics(kafka, topicSpecs(testConfig()), options);
    producer = await createProducer(kafka);
    db = await openDatabase();
    topic = await ReceiptListener.start();
  }, 60_000);
  afterAll(async () => {
    await topic.stop();
    await producer.close();
    await db.close();
  });

  /** Receipts of one sender, and a publisher of which one step may fail. */
  async function prepare(failing: {
    append?: 'before' | 'after';
    finish?: boolean;
  }): Promise<{ senderId: string; publish: () => Promise<{ published: number }> }> {
    const senderId = unique('sender');
    const receipts: Receipt[] = Array.from({ length: 30 }, (_, i) => {
      const { msgId, recipientId, conversation } = message({ senderId });
      const readerId = recipientId;
      return {
        msgId,
        senderId,
        conversation,
        readerId,
        deviceId: i % 2 ? 'phone' : '',
        readAt: i + 1,
      };
    });
    await new ReadReceipts(db, Date.now).recordAll(receipts);
    const receiptLog = new ReceiptLog(db);
    let clock = 0;
    const publisher = new ReceiptPublisher({
      receipts: {
        unpublished: (...args) => receiptLog.unpublished(...args),
        begin: (...args) => receiptLog.begin(...args),
        unfinished: (...args) => receiptLog.unfinished(...args),
        summarize: (...args) => receiptLog.summarize(...args),
        firstOfReaders: (...args) => receiptLog.firstOfReaders(...args),
        finish: (...args) =>
          failing.finish ? Promise.reject(new Error('MySQL is away')) : receiptLog.finish(...args),
      },
      producer: {
        append: async (...args) => {
          if (failing.append !== 'before') await producer.append(...args);
          if (failing.append) throw new Error('Kafka was slow');
        },
      },
      events: new ReceiptEvents(new PartitionReader(kafka, 'test')),
      presence: { lookup: () => Promise.resolve({ devices: [], certain: true }) },
      pusher: { push: () => Promise.resolve() },
      now: () => Date.now() + clock,
      metrics: createMetrics(),
    });
    const { signal } = new AbortController();
    await expect(publisher.publish(senderId, signal)).rejects.toThrow();
    delete failing.append;
    delete failing.finish;
    clock = SETTLED_MS;
    return { senderId, publish: () => publisher.publish(senderId, signal) };
  }

  const eventsOf = async (senderId: string) => {
    await waitFor('the events', 20_000, () => Promise.resolve(topic.of(senderId).length >= 30));
    return topic.of(senderId).map((event) => event.msg_id);
  };

  test.each([
    ['was carried out though it was given up', { append: 'after' as const }],
    ['could not be marked', { finish: true }],
    ['never happened', { append: 'before' as const }],
  ])(
    'an append that %s leaves one event for each receipt',
    async (_, failing) => {
      const { senderId, publish } = await prepare({ ...failing });
      expect(await publish()).toMatchObject({ published: 30 });
      expect(await publish()).toMatchObject({ published: 0 });
      const ids = await eventsOf(senderId);
      expect(new Set(ids).size).toBe(30);
      expect(ids).toHaveLength(30);
    },
    60_000,
  );
});
