/**
 * What is done with the records Kafka hands out: read, handled, and only then their offsets resolved.
 *
 * A record that cannot be handled, ever, goes to the dead-letter topic and the partition goes on. A
 * failure that may pass (MySQL down) holds the records, with heartbeats, and tries again; after a
 * while they are left to Kafka, which hands them out anew. Nothing is skipped.
 */
import type { EachBatchPayload, KafkaMessage } from 'kafkajs';
import type { DeadLetter } from '../../domain/dead-letter';
import { messageOf } from '../../domain/errors';
import { PoisonRecordError } from '../../domain/records';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { sleep } from '../sleep';
import type { Leftover, Leftovers } from './leftovers';

/** Records handled together: as many as go into one statement. */
const MAX_CHUNK = 500;
/** First and longest pause between attempts, ms. */
const RETRY_FIRST_MS = 200;
const RETRY_LONGEST_MS = 5_000;
/** How long records are held before Kafka is asked for them anew, ms. */
const HOLD_MS = 60_000;
/** How often the group hears of us while we work or wait, ms; kafkajs leaves out what is too often. */
const HEARTBEAT_MS = 1_000;

/** Why a record was refused for good, never with its content; `undefined` when it was handled. */
export type Refusal = string | undefined;

/** Takes what cannot be handled, ever; rejects when it cannot take it now. */
export interface DeadLetterBox {
  bury(letter: DeadLetter): Promise<void>;
}

export interface BatchOptions<R> {
  readonly topic: string;
  /** Throws {@link PoisonRecordError}. `timestamp` is the record's, unix ms. */
  readonly decode: (value: string, timestamp: number) => R;
  /**
   * Handles records in their order, one answer for each; may be called again with the same ones. What it
   * gives to `later` begins once they are handled, and their offsets are committed once it is done.
   */
  readonly handle: (
    records: readonly R[],
    later: (work: Leftover) => void,
  ) => Promise<readonly Refusal[]>;
  readonly deadLetters: DeadLetterBox;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class BatchRunner<R> {
  /** `stopping` ends waits, so that a closing consumer is not held up. */
  constructor(
    private readonly options: BatchOptions<R>,
    private readonly stopping: AbortSignal,
  ) {}

  /** Handles a batch of one partition as far as it can; what is not resolved comes again. */
  async run(payload: EachBatchPayload, leftovers: Leftovers): Promise<void> {
    const { messages } = payload.batch;
    for (let from = 0; from < messages.length; from += MAX_CHUNK) {
      if (this.isEnding(payload) || payload.isStale()) return;
      const chunk = messages.slice(from, from + MAX_CHUNK);
      const left = await this.hold(chunk, payload, leftovers);
      if (!left) return;
      const handled = { offset: chunk[0]!.offset, records: chunk.length };
      for (const work of left) leftovers.add(payload, handled, work);
      payload.resolveOffset(chunk.at(-1)!.offset);
    }
  }

  /** What is left to do once the chunk is handled; `undefined` when Kafka is to hand it out again. */
  private async hold(
    chunk: KafkaMessage[],
    payload: EachBatchPayload,
    leftovers: Leftovers,
  ): Promise<Leftover[] | undefined> {
    const { topic, log } = this.options;
    const { partition } = payload.batch;
    const until = Date.now() + HOLD_MS;
    for (let pause = RETRY_FIRST_MS; ; pause = Math.min(pause * 2, RETRY_LONGEST_MS)) {
      try {
        const work = leftovers.room().then(() => this.handle(chunk, partition));
        return await withHeartbeats(work, payload);
      } catch (error) {
        if (error instanceof LostMembershipError) throw error.cause;
        const held = { topic, partition, records: chunk.length, err: messageOf(error) };
        log.warn(held, 'records are held, trying again');
        this.options.metrics.consumed.inc({ topic, outcome: 'held' }, chunk.length);
      }
      if (Date.now() + pause > until) return undefined;
      try {
        await withHeartbeats(sleep(pause, this.stopping), payload);
      } catch (error) {
        throw error instanceof LostMembershipError ? error.cause : error;
      }
      if (this.isEnding(payload)) return undefined;
    }
  }

  private isEnding(payload: EachBatchPayload): boolean {
    return this.stopping.aborted || !payload.isRunning();
  }

  private async handle(chunk: readonly KafkaMessage[], partition: number): Promise<Leftover[]> {
    const good: { readonly message: KafkaMessage; readonly record: R }[] = [];
    const bad: { readonly message: KafkaMessage; readonly reason: string }[] = [];
    for (const message of chunk) {
      try {
        good.push({ message, record: this.decode(message) });
      } catch (error) {
        if (!(error instanceof PoisonRecordError)) throw error;
        bad.push({ message, reason: error.message });
      }
    }
    const left: Leftover[] = [];
    const refusals = await this.options.handle(
      good.map(({ record }) => record),
      (work) => left.push(work),
    );
    good.forEach(({ message }, i) => {
      const reason = refusals[i];
      if (reason !== undefined) bad.push({ message, reason });
    });
    await Promise.all(bad.map(({ message, reason }) => this.bury(message, reason, partition)));
    const { topic, metrics } = this.options;
    metrics.consumed.inc({ topic, outcome: 'handled' }, chunk.length - bad.length);
    if (bad.length > 0) metrics.consumed.inc({ topic, outcome: 'dead_letter' }, bad.length);
    return left;
  }

  private decode(message: KafkaMessage): R {
    if (message.value === null) throw new PoisonRecordError('the record has no value');
    return this.options.decode(message.value.toString(), Number(message.timestamp));
  }

  private async bury(message: KafkaMessage, reason: string, partition: number): Promise<void> {
    const { topic, log, deadLetters } = this.options;
    await deadLetters.bury({
      topic,
      partition,
      offset: message.offset,
      timestamp: Number(message.timestamp),
      key: message.key?.toString() ?? '',
      value: message.value ?? Buffer.alloc(0),
      reason,
    });
    log.error({ topic, partition, offset: message.offset, reason }, 'record put aside');
  }
}

/** A heartbeat was refused: the group goes on without us, and kafkajs must hear of it. */
class LostMembershipError extends Error {
  override readonly name = 'LostMembershipError';
}

/** `work`'s outcome, with heartbeats while it lasts. */
async function withHeartbeats<T>(
  work: Promise<T>,
  { heartbeat }: Pick<EachBatchPayload, 'heartbeat'>,
): Promise<T> {
  let lost: LostMembershipError | undefined;
  const timer = setInterval(() => {
    heartbeat().catch((cause: unknown) => {
      lost ??= new LostMembershipError('the consumer group goes on without us', { cause });
    });
  }, HEARTBEAT_MS);
  try {
    const result = await work;
    if (lost === undefined) return result;
  } finally {
    clearInterval(timer);
  }
  throw lost;
}
