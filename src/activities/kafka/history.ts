/**
 * The history of delivered messages, `private_msg`: a broken Kafka does not undo a delivery, so what
 * it did not take waits in a bounded buffer and is tried again (architecture §3).
 */
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { sleep } from '../sleep';
import { RecordTooLargeError } from './producer';
import type { BatchingProducer } from './producer';
import type { KafkaRecord } from './record';

/** Records that may wait, about 100 MB of the largest messages; beyond it the newest are dropped. */
const MAX_BUFFERED = 10_000;
const RETRY_MS = 500;
const TOPIC = 'private_msg';

export class History {
  private readonly buffer: KafkaRecord[] = [];
  private retrying: Promise<void> | undefined;
  private closed = false;

  constructor(
    private readonly deps: { producer: BatchingProducer; metrics: Metrics; log: Logger },
  ) {}

  /** True when Kafka has the record now; false when it waits to be tried again (or had to be dropped). */
  async append(record: KafkaRecord): Promise<boolean> {
    try {
      await this.deps.producer.append(TOPIC, record);
      return true;
    } catch (error) {
      // The producer has logged and counted the failure; the record's fate is decided here.
      if (isHopeless(error)) this.deps.metrics.historyDropped.inc();
      else this.keep(record);
      return false;
    }
  }

  /** Tries what waits once more, then gives up on the rest, with a metric and a log line. */
  async close(): Promise<void> {
    this.closed = true;
    await this.retrying;
    await this.flush();
    if (this.buffer.length === 0) return;
    this.deps.metrics.historyDropped.inc(this.buffer.length);
    this.deps.log.error(
      { records: this.buffer.length },
      'delivered messages missing in private_msg',
    );
  }

  private keep(record: KafkaRecord): void {
    if (this.buffer.length >= MAX_BUFFERED) {
      this.deps.metrics.historyDropped.inc();
      return;
    }
    this.buffer.push(record);
    this.deps.metrics.historyBuffered.set(this.buffer.length);
    this.retrying ??= this.retryUntilEmpty();
  }

  private async retryUntilEmpty(): Promise<void> {
    while (this.buffer.length > 0 && !this.closed) {
      await sleep(RETRY_MS);
      await this.flush();
    }
    this.retrying = undefined;
  }

  /** Appends what waits until something fails. */
  private async flush(): Promise<void> {
    while (this.buffer.length > 0) {
      const batch = this.buffer.slice(0, 200);
      const outcomes = await Promise.allSettled(
        batch.map((record) => this.deps.producer.append(TOPIC, record)),
      );
      const failures = outcomes.map((each) => (each.status === 'rejected' ? each : undefined));
      const left = batch.filter((_, i) => failures[i] && !isHopeless(failures[i].reason));
      const dropped = failures.filter((each) => each && isHopeless(each.reason)).length;
      this.buffer.splice(0, batch.length, ...left);
      this.deps.metrics.historyBuffered.set(this.buffer.length);
      if (dropped > 0) this.deps.metrics.historyDropped.inc(dropped);
      if (left.length > 0) return;
    }
  }
}

/** Tried again it would fail again, and hold up what is behind it. */
function isHopeless(error: unknown): boolean {
  return error instanceof Error && error.cause instanceof RecordTooLargeError;
}
