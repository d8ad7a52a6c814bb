/**
 * What is left to do with handled records a little later, while those after them are read. Until it is
 * done their offsets are not committed: whoever dies meanwhile leaves them to the next process, which
 * handles them again.
 */
import type { EachBatchPayload, OffsetsByTopicPartition } from 'kafkajs';
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import { withDeadline } from '../deadline';
import { sleep } from '../sleep';
import { OffsetCommits } from './offset-commits';
import type { Committable } from './offset-commits';

/** Records of a process that may have something left; beyond it no more are handled for the moment. */
const MAX_RECORDS = 20_000;
/** Shortest time between two commits of what got done when no records come, ms. */
const COMMITS_APART_MS = 1_000;
/** First and longest pause between attempts, and after how long they end, ms. */
const RETRY_FIRST_MS = 200;
const RETRY_LONGEST_MS = 5_000;
const RETRY_MS = 60_000;

/** May be repeated. */
export type Leftover = () => Promise<void>;

/** Records of one partition that are not to be committed yet. */
interface Held {
  readonly partition: number;
  readonly offset: number;
  readonly records: number;
}

/** Of one life of a consumer. */
export class Leftovers {
  /** Rejects when something cannot be done: then the records have to be read again. */
  readonly failed: Promise<never>;
  private fail: (error: unknown) => void = () => undefined;
  private readonly held = new Set<Held>();
  private readonly running = new Set<Promise<void>>();
  private records = 0;
  private readonly commits: OffsetCommits;

  constructor(
    private readonly options: {
      readonly topic: string;
      readonly stopping: AbortSignal;
      readonly log: Logger;
    },
  ) {
    this.failed = new Promise((_, reject) => (this.fail = reject));
    this.commits = new OffsetCommits(COMMITS_APART_MS, options.stopping);
  }

  /** Resolves when there is room for more. */
  async room(): Promise<void> {
    while (this.records >= MAX_RECORDS && this.running.size > 0) await Promise.race(this.running);
  }

  /** Begins with what is left of records; to be called before their offsets are resolved. */
  add(payload: EachBatchPayload, from: { offset: string; records: number }, work: Leftover): void {
    const { partition } = payload.batch;
    const held = { partition, offset: Number(from.offset), records: from.records };
    this.held.add(held);
    this.records += held.records;
    const running = this.finish(held, work, this.committable(payload)).finally(() =>
      this.running.delete(running),
    );
    this.running.add(running);
  }

  /** The offsets of a batch's consumer as far as they may be committed. */
  committable({ uncommittedOffsets, commitOffsetsIfNecessary }: Committable): Committable {
    return {
      uncommittedOffsets: () => this.before(uncommittedOffsets()),
      commitOffsetsIfNecessary,
    };
  }

  /** Resolves when nothing is left, or after `ms`: what is left then is not committed. */
  async end(ms: number): Promise<void> {
    try {
      await withDeadline(Promise.all(this.running), ms, 'what was left of records');
    } catch (error) {
      const { topic, log } = this.options;
      log.warn({ topic, err: messageOf(error) }, 'records will be read again');
    }
  }

  private before({ topics }: OffsetsByTopicPartition): OffsetsByTopicPartition {
    const limits = new Map<number, number>();
    for (const { partition, offset } of this.held) {
      limits.set(partition, Math.min(offset, limits.get(partition) ?? Infinity));
    }
    // kafkajs has the numbers of partitions as strings here, whatever its types say.
    const cap = (partition: number, offset: string): string =>
      String(Math.min(Number(offset), limits.get(Number(partition)) ?? Infinity));
    return {
      topics: topics.map(({ topic, partitions }) => ({
        topic,
        partitions: partitions.map(({ partition, offset }) => ({
          partition,
          offset: cap(partition, offset),
        })),
      })),
    };
  }

  /** Never rejects. */
  private async finish(held: Held, work: Leftover, batch: Committable): Promise<void> {
    const { topic, log } = this.options;
    try {
      await this.attempt(work);
    } catch (error) {
      this.fail(error);
      return;
    } finally {
      this.records -= held.records;
    }
    this.held.delete(held);
    try {
      // The next batch would commit it too, but may be far.
      await this.commits.commit(batch);
    } catch (error) {
      log.debug({ topic, err: messageOf(error) }, 'offsets are left to the next commit');
    }
  }

  private async attempt(work: Leftover): Promise<void> {
    const { topic, stopping, log } = this.options;
    const until = Date.now() + RETRY_MS;
    for (let pause = RETRY_FIRST_MS; ; pause = Math.min(pause * 2, RETRY_LONGEST_MS)) {
      try {
        return await work();
      } catch (error) {
        if (stopping.aborted || Date.now() + pause > until) throw error;
        log.warn({ topic, err: messageOf(error) }, 'something is left of records, trying again');
        await sleep(pause, stopping);
      }
    }
  }
}
