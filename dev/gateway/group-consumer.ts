/**
 * Reads `group_msg` and `membership_change` as every gateway does: each process in a consumer group of its
 * own, from the latest record. Kafka that is away, or topics that are not there yet, are tried again in the
 * background for as long as the gateway runs. (`read_receipt_events` is left alone: IM Service pushes receipts
 * to the sender's devices itself, and a person would see each one twice.)
 */
import type { Consumer, Kafka } from 'kafkajs';
import type { Logger } from 'pino';
import { topics, type GroupMessage, type MembershipChange } from '../common/kafka';
import { Backoff, aborted, pause, settledWithin, within } from '../common/wait';

const CALL_LIMIT_MS = 15_000;
const STOP_LIMIT_MS = 3_000;

export interface GroupEvents {
  onMessage(message: GroupMessage): Promise<void>;
  onMembershipChange(change: MembershipChange): void;
}

export class GroupConsumer {
  private readonly stopped = new AbortController();
  private readonly backoff = new Backoff(250, 2_000);
  private running: Promise<void> | undefined;
  private consuming = false;
  private hasJoined = false;

  constructor(
    private readonly kafka: Kafka,
    private readonly groupId: string,
    private readonly events: GroupEvents,
    private readonly log: Logger,
  ) {}

  /** Whether partitions are assigned, so that what is published from now on is seen. */
  get ready(): boolean {
    return this.consuming;
  }

  start(): void {
    this.running ??= this.keepConsuming();
  }

  async stop(): Promise<void> {
    this.stopped.abort();
    if (this.running !== undefined) await settledWithin(STOP_LIMIT_MS, this.running);
  }

  private async keepConsuming(): Promise<void> {
    while (!this.stopped.signal.aborted) {
      try {
        await this.consume();
      } catch (error) {
        const retryInMs = this.backoff.next();
        this.log.warn({ reason: String(error), retryInMs }, 'group messages wait for Kafka');
        await pause(retryInMs, this.stopped.signal);
      }
    }
    if (this.hasJoined) await this.forgetGroup();
  }

  /** One consumer's life: resolves when the gateway stops, rejects when the consumer cannot go on. */
  private async consume(): Promise<void> {
    const consumer = this.kafka.consumer({
      groupId: this.groupId,
      allowAutoTopicCreation: false,
      // The least a broker allows: after its restart a consumer that comes back waits this long for its
      // own former self to be given up.
      sessionTimeout: 6_000,
      heartbeatInterval: 2_000,
      maxWaitTimeInMs: 1_000, // of an idle poll; a record ends it at once
      // kafkajs' own restarts keep their failure count for ever; a new consumer starts from nothing.
      retry: { retries: 2, restartOnFailure: () => Promise.resolve(false) },
    });
    const crashed = new Promise<Error>((resolve) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => resolve(payload.error));
    });
    consumer.on(consumer.events.GROUP_JOIN, () => (this.hasJoined = true));
    // Only with the first answer to a fetch is it settled which record "latest" is.
    consumer.on(consumer.events.FETCH, () => this.onFetch());
    try {
      await within(CALL_LIMIT_MS, 'joining the consumer group', this.join(consumer));
      const failure = await Promise.race([crashed, aborted(this.stopped.signal)]);
      if (failure !== undefined) throw failure;
    } finally {
      this.consuming = false;
      await this.disconnect(consumer);
    }
  }

  private async join(consumer: Consumer): Promise<void> {
    await consumer.connect();
    await consumer.subscribe({ topics: [topics.groupMessages, topics.membershipChanges] });
    await consumer.run({
      partitionsConsumedConcurrently: 8, // a group whose members are slow to come holds up few others
      eachMessage: ({ topic, message }) => this.handle(topic, message.value),
    });
  }

  private onFetch(): void {
    if (this.consuming || this.stopped.signal.aborted) return;
    this.consuming = true;
    this.backoff.reset();
    this.log.info({ groupId: this.groupId }, 'reading group messages');
  }

  private async handle(topic: string, value: Buffer | null): Promise<void> {
    try {
      const record: unknown = JSON.parse(value?.toString('utf8') ?? 'null');
      if (record === null) return; // a tombstone says nothing to a gateway
      if (topic === topics.groupMessages) await this.events.onMessage(record as GroupMessage);
      else this.events.onMembershipChange(record as MembershipChange);
    } catch (error) {
      // One record that cannot be used must not stop those behind it.
      this.log.error({ topic, reason: String(error) }, 'skipped a record');
    }
  }

  private async disconnect(consumer: Consumer): Promise<void> {
    try {
      await within(STOP_LIMIT_MS, 'leaving Kafka', consumer.disconnect());
    } catch (error) {
      this.log.warn({ reason: String(error) }, 'could not leave Kafka in good order');
    }
  }

  /** The group was this process's alone; without this each run would leave one behind. */
  private async forgetGroup(): Promise<void> {
    const admin = this.kafka.admin();
    const deleted = admin.connect().then(() => admin.deleteGroups([this.groupId]));
    try {
      await within(STOP_LIMIT_MS, 'deleting the consumer group', deleted);
    } catch (error) {
      this.log.debug({ reason: String(error) }, 'the consumer group stays behind');
    }
    await settledWithin(STOP_LIMIT_MS, admin.disconnect());
  }
}
