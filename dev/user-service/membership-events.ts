/** Tells Kafka who joined and who left, in order, from a bounded queue; a broker that is away is waited for. */
import { Partitioners, type Kafka, type Producer } from 'kafkajs';
import type { Logger } from 'pino';
import { topics, type MembershipChange } from '../common/kafka';
import { Backoff, pause, settledWithin, within } from '../common/wait';

/** Twice the largest group we play with (100,000 members), in and out again. */
const MAX_QUEUED = 400_000;
/** About 100 bytes an event: a request stays well under the broker's default limit of 1 MB. */
const BATCH = 2_000;
const CALL_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 3_000;

export interface MembershipEvents {
  /** Whether `count` more events can be taken; asked before the directory is changed. */
  hasRoomFor(count: number): boolean;
  /** Queues the events; resolves once Kafka has acknowledged all of them. */
  publish(events: MembershipChange[]): Promise<void>;
  stop(): Promise<void>;
}

/** For a user service that runs without Kafka: nobody is told. */
export const noMembershipEvents: MembershipEvents = {
  hasRoomFor: () => true,
  publish: () => Promise.resolve(),
  stop: () => Promise.resolve(),
};

interface Waiting {
  upTo: number;
  resolve: () => void;
}

export class KafkaMembershipEvents implements MembershipEvents {
  private readonly producer: Producer;
  private readonly stopped = new AbortController();
  private readonly backoff = new Backoff(200, 2_000);
  private queue: MembershipChange[] = [];
  private queuedEver = 0;
  private sentEver = 0;
  private waiting: Waiting[] = [];
  private sending: Promise<void> | undefined;
  private connected = false;

  constructor(
    kafka: Kafka,
    private readonly log: Logger,
  ) {
    this.producer = kafka.producer({
      allowAutoTopicCreation: false,
      // Java's placement, so that a group's events share a partition whoever writes them.
      createPartitioner: Partitioners.DefaultPartitioner,
      // One request at a time keeps a join and a leave of the same person in order.
      maxInFlightRequests: 1,
    });
    this.producer.on(this.producer.events.DISCONNECT, () => (this.connected = false));
  }

  hasRoomFor(count: number): boolean {
    return !this.stopped.signal.aborted && this.queue.length + count <= MAX_QUEUED;
  }

  publish(events: MembershipChange[]): Promise<void> {
    if (events.length === 0) return Promise.resolve();
    if (!this.hasRoomFor(events.length)) throw new Error('too many membership events are waiting');
    this.queue = this.queue.concat(events);
    this.queuedEver += events.length;
    const acknowledged = new Promise<void>((resolve) => {
      this.waiting.push({ upTo: this.queuedEver, resolve });
    });
    this.sending ??= this.drain().finally(() => (this.sending = undefined));
    return acknowledged;
  }

  /** Tries to empty the queue for a moment, then says what was lost. */
  async stop(): Promise<void> {
    if (this.sending !== undefined) await settledWithin(STOP_LIMIT_MS, this.sending);
    this.stopped.abort();
    if (this.queue.length > 0) {
      this.log.warn({ events: this.queue.length }, 'membership events were not published');
    }
    await settledWithin(STOP_LIMIT_MS, this.producer.disconnect());
  }

  private async drain(): Promise<void> {
    while (this.queue.length > 0 && !this.stopped.signal.aborted) {
      try {
        await this.sendSome();
        this.backoff.reset();
      } catch (error) {
        const retryInMs = this.backoff.next();
        this.log.warn({ reason: String(error), retryInMs }, 'membership events wait for Kafka');
        await pause(retryInMs, this.stopped.signal);
      }
    }
  }

  private async sendSome(): Promise<void> {
    if (!this.connected) {
      await within(CALL_LIMIT_MS, 'connecting to Kafka', this.producer.connect());
      this.connected = true;
    }
    const batch = this.queue.slice(0, BATCH);
    const messages = batch.map((event) => ({ key: event.group_id, value: JSON.stringify(event) }));
    const sent = this.producer.send({ topic: topics.membershipChanges, acks: -1, messages });
    await within(CALL_LIMIT_MS, 'sending to Kafka', sent);
    this.queue = this.queue.slice(batch.length);
    this.sentEver += batch.length;
    const done = this.waiting.filter(({ upTo }) => upTo <= this.sentEver);
    this.waiting = this.waiting.filter(({ upTo }) => upTo > this.sentEver);
    for (const { resolve } of done) resolve();
  }
}
