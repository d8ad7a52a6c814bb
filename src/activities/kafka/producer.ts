/**
 * Appends to Kafka with acks=all, batched by what arrives while an earlier append is in flight.
 *
 * One append at a time for each topic: that makes the batches, and it keeps the records of one key
 * in the order of the calls. A broken Kafka is found once: a breaker then refuses at once, and lets
 * one record try again every half second.
 *
 * Sending again is done here and not by kafkajs: it goes on after the caller has been told that the
 * append failed, and takes for stored what no leader has answered for (produce-requests.ts).
 */
import { KafkaJSNumberOfRetriesExceeded } from 'kafkajs';
import type { ICustomPartitioner, Kafka, Producer } from 'kafkajs';
import { ImError, messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { CircuitBreaker } from '../breaker';
import { Coalescer } from '../coalescer';
import { withDeadline } from '../deadline';
import { sleep } from '../sleep';
import { partitionOf } from './partitioner';
import { changeProduceRequests } from './produce-requests';
import { bytesOf, OutgoingRecord } from './record';
import type { KafkaRecord } from './record';

/** Records of one append: beyond about a hundred a larger batch saves little (architecture, trials). */
const MAX_BATCH = 500;
/** And their bytes: all may be for one partition, which takes 1,048,588 with framing (topics.ts). */
const MAX_BATCH_BYTES = 900_000;
/**
 * From one append to the next of a topic, ms: each costs Kafka and us about half a millisecond of CPU,
 * however many records it has.
 */
const APPENDS_APART_MS = 2;
/** Records that may wait for a topic. */
const MAX_QUEUED = 20_000;
/** How long a broken Kafka is left alone, ms. */
const BREAKER_OPEN_MS = 500;
/** First and longest pause before an append is sent again, ms: a leader that moved is found at once. */
const AGAIN_FIRST_MS = 50;
const AGAIN_LONGEST_MS = 200;
/** Pause between attempts to connect for the first time, ms. */
const CONNECT_RETRY_MS = 500;

/** Kafka never takes this record. */
export class RecordTooLargeError extends Error {
  override readonly name = 'RecordTooLargeError';
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
  /** A record is sent once only: for callers who find out by themselves whether it was stored. */
  readonly once?: boolean;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class BatchingProducer {
  private readonly producer: Producer;
  private readonly lanes = new Map<string, Coalescer<KafkaRecord, Error | undefined>>();
  private readonly breaker: CircuitBreaker;
  private readonly connecting: Promise<void>;
  private closed = false;
  /** Requests to unordered topics so far: a further attempt has another partition, whose leader may be there. */
  private unorderedRequests = 0;

  constructor(private readonly options: ProducerOptions) {
    changeProduceRequests();
    this.producer = options.kafka.producer({
      createPartitioner: () => this.partition,
      allowAutoTopicCreation: false,
      retry: { retries: 0 },
    });
    this.breaker = new CircuitBreaker({
      failures: 1,
      openMs: BREAKER_OPEN_MS,
      now: () => Date.now(),
    });
    this.connecting = this.connect();
  }

  /**
   * Resolves when all in-sync replicas have the record; rejects with KAFKA_ERROR within two deadlines.
   * Then it is not sent any more, but what was on its way to a leader may still be stored.
   */
  async append(topic: string, record: KafkaRecord): Promise<void> {
    if (!this.breaker.allows()) throw new ImError('KAFKA_ERROR', 'Kafka is not taking messages');
    try {
      const failure = await this.lane(topic).add(record);
      if (failure !== undefined) throw failure;
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
    if (this.isUnordered(topic)) return this.unorderedRequests % length;
    return partitionOf(message.key ?? '', length);
  };

  private isUnordered(topic: string): boolean {
    return this.options.unordered?.has(topic) ?? false;
  }

  private lane(topic: string): Coalescer<KafkaRecord, Error | undefined> {
    let lane = this.lanes.get(topic);
    if (!lane) {
      lane = new Coalescer({
        run: (records) => this.send(topic, records),
        maxBatch: MAX_BATCH,
        maxSize: { size: MAX_BATCH_BYTES, of: bytesOf },
        maxQueued: MAX_QUEUED,
        apartMs: APPENDS_APART_MS,
      });
      this.lanes.set(topic, lane);
    }
    return lane;
  }

  /** For each record why Kafka does not have it, or `undefined`. */
  private async send(
    topic: string,
    records: readonly KafkaRecord[],
  ): Promise<(Error | undefined)[]> {
    const { deadlineMs, log, metrics } = this.options;
    // What waited behind a failed append does not wait for a deadline of its own.
    if (this.breaker.isOpen && records.length > 1) throw new Error('an append before it failed');
    metrics.kafkaBatch.observe(records.length);
    const until = performance.now() + deadlineMs;
    const outgoing = records.map((record) => new OutgoingRecord(record, until));
    let failure: Error | undefined;
    try {
      await withDeadline(this.sendUntilSettled(topic, outgoing, until), deadlineMs, 'append');
      // Records that are too large say nothing of Kafka.
      this.breaker.succeeded();
    } catch (error) {
      this.breaker.failed();
      failure = error as Error;
    }
    const outcomes = outgoing.map((record) => outcomeOf(record, failure));
    const failures = outcomes.filter((outcome) => outcome !== undefined);
    if (failures.length > 0) {
      log.warn({ topic, records: failures.length, err: messageOf(failures[0]) }, 'append failed');
    }
    return outcomes;
  }

  /** Rejects when there are records that were neither stored nor refused for good. */
  private async sendUntilSettled(
    topic: string,
    records: OutgoingRecord[],
    until: number,
  ): Promise<void> {
    let left = records;
    for (let pause = AGAIN_FIRST_MS; ; pause = Math.min(pause * 2, AGAIN_LONGEST_MS)) {
      const failure = await this.sendOnce(topic, left, until);
      // It hides what else may have gone wrong.
      const isHidden = left.some((record) => record.isTooLarge);
      left = left.filter((record) => !record.isStored && !record.isTooLarge);
      if (left.length === 0) return;
      const isWorthAnother = !this.options.once && (isHidden || isPassing(failure));
      if (!isWorthAnother || performance.now() + pause >= until) {
        throw failure ?? new Error('no leader has answered for a partition');
      }
      await sleep(pause);
    }
  }

  /** What kafkajs says went wrong; what became of a record, it has heard itself. */
  private async sendOnce(
    topic: string,
    messages: OutgoingRecord[],
    until: number,
  ): Promise<Error | undefined> {
    if (this.isUnordered(topic)) this.unorderedRequests += 1;
    const timeout = Math.max(1, Math.ceil(until - performance.now()));
    try {
      await this.producer.send({ topic, messages, acks: -1, timeout });
      return undefined;
    } catch (error) {
      return error as Error;
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

function outcomeOf(record: OutgoingRecord, failure: Error | undefined): Error | undefined {
  if (record.isStored) return undefined;
  if (record.isTooLarge) {
    return new RecordTooLargeError(`Kafka takes no record of ${bytesOf(record)} bytes`);
  }
  return failure;
}

/** Whether kafkajs would have sent again. */
function isPassing(failure: Error | undefined): boolean {
  return failure === undefined || failure instanceof KafkaJSNumberOfRetriesExceeded;
}
