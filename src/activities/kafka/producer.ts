/**
 * Appends to Kafka with acks=all, batched by what arrives while an earlier append is in flight.
 *
 * One append at a time for each topic: that makes the batches, and it keeps the records of one key
 * in the order of the calls. A broken Kafka is found once: a breaker then refuses at once, and lets
 * one record try again every half second.
 */
import type { ICustomPartitioner, Kafka, Producer } from 'kafkajs';
import { ImError, messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { CircuitBreaker } from '../breaker';
import { Coalescer } from '../coalescer';
import { withDeadline } from '../deadline';
import { partitionOf } from './partitioner';
import { encodeFaster } from './produce-encoding';

/** Records of one append: beyond about a hundred a larger batch saves little (architecture, trials). */
const MAX_BATCH = 500;
/**
 * From one append to the next of a topic, ms: each costs Kafka and us about half a millisecond of CPU,
 * however many records it has.
 */
const APPENDS_APART_MS = 2;
/** Records that may wait for a topic. */
const MAX_QUEUED = 20_000;
/** How long a broken Kafka is left alone, ms. */
const BREAKER_OPEN_MS = 500;
/** Pause between attempts to connect for the first time, ms. */
const CONNECT_RETRY_MS = 500;

export interface KafkaRecord {
  readonly key: string;
  readonly value: string | Buffer;
  readonly headers?: Record<string, string>;
}

export interface ProducerOptions {
  readonly kafka: Kafka;
  /** For one append, ms. */
  readonly deadlineMs: number;
  /**
   * Topics whose records need not lie where their keys say: those of one append share a partition, the
   * next ones another. One write to one log instead of one to each of many.
   */
  readonly unordered?: ReadonlySet<string>;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class BatchingProducer {
  private readonly producer: Producer;
  private readonly lanes = new Map<string, Coalescer<KafkaRecord, void>>();
  private readonly breaker: CircuitBreaker;
  private readonly connecting: Promise<void>;
  private closed = false;
  /** Appends to unordered topics so far. */
  private unorderedAppends = 0;

  constructor(private readonly options: ProducerOptions) {
    encodeFaster();
    this.producer = options.kafka.producer({
      createPartitioner: () => this.partition,
      allowAutoTopicCreation: false,
    });
    this.breaker = new CircuitBreaker({
      failures: 1,
      openMs: BREAKER_OPEN_MS,
      now: () => Date.now(),
    });
    this.connecting = this.connect();
  }

  /** Resolves when all in-sync replicas have the record; rejects with KAFKA_ERROR within two deadlines. */
  async append(topic: string, record: KafkaRecord): Promise<void> {
    if (!this.breaker.allows()) throw new ImError('KAFKA_ERROR', 'Kafka is not taking messages');
    try {
      await this.lane(topic).add(record);
    } catch (error) {
      throw new ImError('KAFKA_ERROR', `append failed: ${messageOf(error)}`, { cause: error });
    }
  }

  /** Connects and learns where the topics' partitions are, so that the first record need not wait. */
  async warmUp(topics: readonly string[]): Promise<void> {
    await this.connecting;
    // Without messages kafkajs asks for the topics' metadata and appends nothing.
    await this.producer.sendBatch({
      topicMessages: topics.map((topic) => ({ topic, messages: [] })),
    });
  }

  /** Sends what waits, then disconnects. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([...this.lanes.values()].map((lane) => lane.whenIdle()));
    await this.connecting;
    await this.producer.disconnect();
  }

  private readonly partition: ReturnType<ICustomPartitioner> = ({
    topic,
    message,
    partitionMetadata: { length },
  }) => {
    if (this.isUnordered(topic)) return this.unorderedAppends % length;
    return partitionOf(message.key ?? '', length);
  };

  private isUnordered(topic: string): boolean {
    return this.options.unordered?.has(topic) ?? false;
  }

  private lane(topic: string): Coalescer<KafkaRecord, void> {
    let lane = this.lanes.get(topic);
    if (!lane) {
      lane = new Coalescer({
        run: (records) => this.send(topic, records),
        maxBatch: MAX_BATCH,
        maxQueued: MAX_QUEUED,
        apartMs: APPENDS_APART_MS,
      });
      this.lanes.set(topic, lane);
    }
    return lane;
  }

  private async send(topic: string, messages: KafkaRecord[]): Promise<void[]> {
    // What waited behind a failed append does not wait for a deadline of its own.
    if (this.breaker.isOpen && messages.length > 1) throw new Error('an append before it failed');
    this.options.metrics.kafkaBatch.observe(messages.length);
    if (this.isUnordered(topic)) this.unorderedAppends += 1;
    try {
      await withDeadline(
        this.producer.send({ topic, messages, acks: -1, timeout: this.options.deadlineMs }),
        this.options.deadlineMs,
        'append',
      );
      this.breaker.succeeded();
      return new Array<void>(messages.length);
    } catch (error) {
      this.breaker.failed();
      this.options.log.warn(
        { topic, records: messages.length, err: messageOf(error) },
        'append failed',
      );
      throw error;
    }
  }

  /** kafkajs reconnects by itself, but only once it has been connected. */
  private async connect(): Promise<void> {
    while (!this.closed) {
      try {
        await this.producer.connect();
        return;
      } catch (error) {
        this.options.log.warn({ err: messageOf(error) }, 'Kafka is away, connecting again');
        await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS));
      }
    }
  }
}
