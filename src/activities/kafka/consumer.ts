/**
 * One consumer of one topic that outlives every failure: hides kafkajs' consumers.
 *
 * kafkajs may crash (its retries over a long life are counted together, #1592), or stop without a word
 * (errors in a rebalance, #1410). So it never restarts itself here: a crash or a silence ends this
 * life of the consumer, and a new one begins after a pause.
 */
import type { Consumer, Kafka } from 'kafkajs';
import { messageOf } from '../../domain/errors';
import { withDeadline } from '../deadline';
import { sleep } from '../sleep';
import { BatchRunner } from './batches';
import type { BatchOptions } from './batches';
import { Leftovers } from './leftovers';
import { OffsetCommits } from './offset-commits';

/** A worker that was killed gives its partitions up after this, ms. */
const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_INTERVAL_MS = 2_000;
/** How long a rebalance waits for members that are busy, ms: longer than any transaction of ours. */
const REBALANCE_TIMEOUT_MS = 20_000;
/** How long the broker waits for records, ms: how soon an idle consumer hears of a rebalance. */
const MAX_WAIT_MS = 1_000;
/**
 * Bytes of one fetch, and of one partition in it: what is decoded and in memory at once when a worker
 * catches up, several times over. Several transactions' worth; larger ones only cost memory.
 */
const MAX_FETCH_BYTES = 2 * 1024 * 1024;
const MAX_PARTITION_BYTES = 256 * 1024;
/** First and longest pause between two lives, ms, and the age from which a life counts as a success. */
const REBIRTH_FIRST_MS = 500;
const REBIRTH_LONGEST_MS = 5_000;
const STABLE_MS = 60_000;
/** Without any sign of life for this long a consumer is taken for dead, ms. */
const SILENCE_MS = 45_000;
const SILENCE_CHECK_MS = 5_000;
/** How long it may take to finish what is left of records when the consumer is to stop, ms. */
const LEFTOVERS_MS = 5_000;
/** How long leaving the group may take, ms; then the session time-out does it. */
const DISCONNECT_MS = 5_000;

export interface ConsumerOptions<R> extends BatchOptions<R> {
  readonly kafka: Kafka;
  readonly groupId: string;
  /** Partitions handled at once, so that their records can share transactions. */
  readonly concurrency: number;
  /** Shortest time between two commits, ms: how long records may gather before they are fetched. */
  readonly commitsApartMs?: number;
  /** Where a group without offsets begins: the topic's beginning unless false, then its end. */
  readonly fromBeginning?: boolean;
  /** Called once records are read again after a time, the first included, in which some may have been missed. */
  readonly onResumed?: () => void;
}

export class TopicConsumer<R> {
  private readonly batches: BatchRunner<R>;
  private readonly stopping = new AbortController();
  private readonly stopped = aborted(this.stopping.signal);
  private readonly lagOf = new Map<number, number>();
  private partitions: ReadonlySet<number> = new Set();
  private lastSign = 0;
  private settled = false;
  private running: Promise<void> | undefined;

  constructor(private readonly options: ConsumerOptions<R>) {
    this.batches = new BatchRunner(options, this.stopping.signal);
  }

  /** Begins to consume, now or as soon as Kafka is there. */
  start(): void {
    this.running ??= this.live();
  }

  /** The partitions this process reads now; empty while it is not in the group. */
  get assigned(): ReadonlySet<number> {
    return this.partitions;
  }

  /**
   * Whether this process answers for a partition: it reads it, or nobody can tell who does, because
   * the group is sharing its partitions out or Kafka is away.
   */
  answersFor(partition: number): boolean {
    return !this.settled || this.partitions.has(partition);
  }

  /** Rejects while the consumer is not a member of its group. */
  check(): Promise<void> {
    if (this.lastSign > 0) return Promise.resolve();
    return Promise.reject(new Error(`${this.options.topic}: not in the consumer group`));
  }

  /** Finishes the records at hand, commits, leaves the group. */
  async close(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }

  private async live(): Promise<void> {
    const { topic, log } = this.options;
    let pause = REBIRTH_FIRST_MS;
    while (!this.stopping.signal.aborted) {
      const born = Date.now();
      try {
        await this.oneLife();
      } catch (error) {
        log.warn({ topic, err: messageOf(error) }, 'consumer ended, beginning anew');
      }
      if (Date.now() - born > STABLE_MS) pause = REBIRTH_FIRST_MS;
      await sleep(pause, this.stopping.signal);
      pause = Math.min(pause * 2, REBIRTH_LONGEST_MS);
    }
  }

  /** Resolves when the consumer is to stop; rejects when it crashed or fell silent. */
  private async oneLife(): Promise<void> {
    const { topic, log } = this.options;
    const consumer = this.createConsumer();
    const crash = new Promise<never>((_, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    });
    const watchdog = this.watchSilence(consumer);
    const stopping = this.stopping.signal;
    const commits = new OffsetCommits(this.options.commitsApartMs ?? 0, stopping);
    const leftovers = new Leftovers({ topic, stopping, log });
    try {
      const running = (async () => {
        await consumer.connect();
        await consumer.subscribe({ topic, fromBeginning: this.options.fromBeginning ?? true });
        await consumer.run({
          autoCommit: false,
          eachBatchAutoResolve: false,
          partitionsConsumedConcurrently: this.options.concurrency,
          eachBatch: async (payload) => {
            await this.batches.run(payload, leftovers);
            await commits.commit(leftovers.committable(payload));
            this.noteLag(payload.batch.partition, Number(payload.batch.offsetLag()));
          },
        });
        await this.stopped;
        await leftovers.end(LEFTOVERS_MS);
      })();
      await Promise.race([running, crash, watchdog.silent, leftovers.failed]);
    } finally {
      watchdog.stop();
      this.leave();
      await this.disconnect(consumer);
    }
  }

  private createConsumer(): Consumer {
    const { kafka, groupId } = this.options;
    return kafka.consumer({
      groupId,
      sessionTimeout: SESSION_TIMEOUT_MS,
      heartbeatInterval: HEARTBEAT_INTERVAL_MS,
      rebalanceTimeout: REBALANCE_TIMEOUT_MS,
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytes: MAX_FETCH_BYTES,
      maxBytesPerPartition: MAX_PARTITION_BYTES,
      allowAutoTopicCreation: false,
      retry: { retries: 3, restartOnFailure: () => Promise.resolve(false) },
    });
  }

  private watchSilence(consumer: Consumer): { silent: Promise<never>; stop: () => void } {
    const { topic, metrics, onResumed } = this.options;
    let heard = Date.now();
    let resumed = false;
    const sign = (): void => {
      heard = Date.now();
      if (this.partitions.size > 0) this.lastSign = heard;
    };
    const { GROUP_JOIN, HEARTBEAT, FETCH, REBALANCING } = consumer.events;
    consumer.on(REBALANCING, () => void (this.settled = false));
    consumer.on(HEARTBEAT, sign);
    consumer.on(FETCH, () => {
      sign();
      // Not before: only with its first fetch does a group without offsets settle where it begins.
      if (!resumed) onResumed?.();
      resumed = true;
    });
    consumer.on(GROUP_JOIN, ({ payload }) => {
      this.partitions = new Set(payload.memberAssignment[topic] ?? []);
      resumed = false;
      this.settled = true;
      this.lagOf.clear();
      this.lastSign = heard = Date.now();
      metrics.consumerPartitions.set({ topic }, this.partitions.size);
    });
    let timer: NodeJS.Timeout | undefined;
    const silent = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (Date.now() - heard > SILENCE_MS) reject(new Error('no sign of life'));
      }, SILENCE_CHECK_MS);
    });
    return { silent, stop: () => clearInterval(timer) };
  }

  private noteLag(partition: number, lag: number): void {
    this.lagOf.set(partition, lag);
    const { topic, metrics } = this.options;
    metrics.consumerLag.set(
      { topic },
      [...this.lagOf.values()].reduce((sum, each) => sum + each, 0),
    );
  }

  private leave(): void {
    this.partitions = new Set();
    this.settled = false;
    this.lastSign = 0;
    this.options.metrics.consumerPartitions.set({ topic: this.options.topic }, 0);
  }

  private async disconnect(consumer: Consumer): Promise<void> {
    try {
      await withDeadline(consumer.disconnect(), DISCONNECT_MS, 'leaving the consumer group');
    } catch (error) {
      const { topic, log } = this.options;
      log.debug({ topic, err: messageOf(error) }, 'the group will notice by itself');
    }
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
