/** Reads what lies on one partition now, past all consumer groups: for repairs, never on a message's way. */
import { randomUUID } from 'node:crypto';
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { withDeadline } from '../deadline';

/** A record that lies there. */
export interface StoredRecord {
  readonly offset: number;
  /** Unix ms. */
  readonly timestamp: number;
  readonly key: string;
  readonly value: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

export interface PartitionRange {
  readonly topic: string;
  readonly partition: number;
  /** Offset, or the first record written no earlier than a time, unix ms. */
  readonly from: { readonly offset: number } | { readonly time: number };
}

/** Of a partition, the first offset that is still there and the one after the last. */
interface Bounds {
  readonly partition: number;
  readonly low: string;
  readonly high: string;
}

/** How long one look may take, ms: joining a group costs seconds. */
const DEADLINE_MS = 30_000;

export class PartitionReader {
  constructor(
    private readonly kafka: Kafka,
    /** Prefix of the consumer group that kafkajs cannot read without; it commits nothing. */
    private readonly clientId: string,
  ) {}

  /** The number of partitions of a topic. */
  async partitionsOf(topic: string): Promise<number> {
    return (await this.offsets(topic)).length;
  }

  /** Calls `take` with each record from the range's start to what is the partition's end now. */
  async read(range: PartitionRange, take: (record: StoredRecord) => void): Promise<void> {
    const { topic, partition } = range;
    const [{ low, high }, from] = await Promise.all([
      this.boundsOf(topic, partition),
      this.startOf(range),
    ]);
    const end = Number(high);
    // What is older than the topic's time is gone: waiting for it would last until the deadline.
    const start = from === undefined ? end : Math.max(from, Number(low));
    if (start >= end) return;
    const consumer = this.kafka.consumer({
      groupId: `${this.clientId}-reader-${randomUUID()}`,
      allowAutoTopicCreation: false,
      retry: { retries: 3, restartOnFailure: () => Promise.resolve(false) },
    });
    try {
      const reading = this.readUntil(consumer, { topic, partition, start, end }, take);
      await withDeadline(reading, DEADLINE_MS, 'reading a partition');
    } finally {
      await consumer.disconnect();
    }
  }

  private async readUntil(
    consumer: Consumer,
    at: { topic: string; partition: number; start: number; end: number },
    take: (record: StoredRecord) => void,
  ): Promise<void> {
    const { topic, partition, start, end } = at;
    const others = (await this.offsets(topic)).filter((each) => each.partition !== partition);
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      const eachBatch = ({ batch }: EachBatchPayload): Promise<void> => {
        if (batch.partition !== partition) return Promise.resolve();
        for (const record of batch.messages.map(toRecord)) {
          // Records from before the seek may come first.
          if (record.offset >= start && record.offset < end) take(record);
        }
        if (Number(batch.lastOffset()) >= end - 1) resolve();
        return Promise.resolve();
      };
      consumer.run({ autoCommit: false, eachBatch }).catch(reject);
      consumer.seek({ topic, partition, offset: String(start) });
      consumer.pause([{ topic, partitions: others.map((each) => each.partition) }]);
    });
  }

  private async boundsOf(topic: string, partition: number): Promise<Bounds> {
    const found = (await this.offsets(topic)).find((each) => each.partition === partition);
    if (!found) throw new Error(`${topic} has no partition ${partition}`);
    return found;
  }

  /** `undefined`: nothing was written since. */
  private async startOf({ topic, partition, from }: PartitionRange): Promise<number | undefined> {
    if ('offset' in from) return from.offset;
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      const found = await admin.fetchTopicOffsetsByTimestamp(topic, from.time);
      const offset = Number(found.find((each) => each.partition === partition)?.offset ?? -1);
      return offset < 0 ? undefined : offset;
    } finally {
      await admin.disconnect();
    }
  }

  private async offsets(topic: string): Promise<Bounds[]> {
    const admin = this.kafka.admin();
    await admin.connect();
    try {
      return await admin.fetchTopicOffsets(topic);
    } finally {
      await admin.disconnect();
    }
  }
}

function toRecord(message: KafkaMessage): StoredRecord {
  const headers = Object.entries(message.headers ?? {});
  return {
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    key: message.key?.toString() ?? '',
    value: message.value ?? Buffer.alloc(0),
    headers: Object.fromEntries(headers.map(([name, value]) => [name, String(value)])),
  };
}
