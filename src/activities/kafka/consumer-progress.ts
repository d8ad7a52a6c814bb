/**
 * Whether what is on Kafka at one moment has been stored: the consumers commit an offset only after
 * the records before it are in MySQL.
 */
import type { Admin, Kafka } from 'kafkajs';
import { withDeadline } from '../deadline';
import { sleep } from '../sleep';

/** A topic and the consumer group that stores it. */
export interface StoredTopic {
  readonly topic: string;
  readonly groupId: string;
}

const LOOK_EVERY_MS = 200;
/** For one look at Kafka, ms, and how many that fail are too many. */
const LOOK_DEADLINE_MS = 5_000;
const LOOKS = 3;

/** Consumers have yet to store what was on Kafka; says of which topics. */
export class ConsumersBehindError extends Error {
  override readonly name = 'ConsumersBehind';

  constructor(readonly topics: readonly string[]) {
    super(`not stored yet: ${topics.join(', ')}`);
  }
}

type Offsets = ReadonlyMap<number, bigint>;

export class ConsumerProgress {
  constructor(
    private readonly kafka: Kafka,
    private readonly stored: readonly StoredTopic[],
  ) {}

  /**
   * Resolves when everything is stored that Kafka has at the moment of the call; rejects with
   * {@link ConsumersBehindError} when that takes longer than `deadlineMs` or `signal` is aborted.
   */
  async caughtUp(deadlineMs: number, signal: AbortSignal): Promise<void> {
    const until = Date.now() + deadlineMs;
    const admin = this.kafka.admin();
    try {
      await withDeadline(admin.connect(), LOOK_DEADLINE_MS, 'connecting to Kafka');
      const ends = await look(() =>
        Promise.all(this.stored.map(({ topic }) => endsOf(admin, topic))),
      );
      let behind = this.stored.map((each, i) => ({ ...each, ends: ends[i] as Offsets }));
      for (;;) {
        const isBehind = await look(() => Promise.all(behind.map((each) => lags(admin, each))));
        behind = behind.filter((_, i) => isBehind[i]);
        if (behind.length === 0) return;
        if (signal.aborted || Date.now() > until) {
          throw new ConsumersBehindError(behind.map(({ topic }) => topic));
        }
        await sleep(LOOK_EVERY_MS, signal);
      }
    } finally {
      await admin.disconnect();
    }
  }
}

/** A leader or a coordinator that was chosen only now may not answer at once. */
async function look<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await withDeadline(ask(), LOOK_DEADLINE_MS, 'asking Kafka for offsets');
    } catch (error) {
      if (attempt === LOOKS) throw error;
    }
    await sleep(LOOK_EVERY_MS);
  }
}

/** The end of each partition that has records. */
async function endsOf(admin: Admin, topic: string): Promise<Offsets> {
  const partitions = await admin.fetchTopicOffsets(topic);
  return new Map(
    partitions
      .filter(({ low, high }) => low !== high)
      .map(({ partition, high }) => [partition, BigInt(high)]),
  );
}

async function lags(admin: Admin, { topic, groupId, ends }: StoredTopic & { ends: Offsets }) {
  if (ends.size === 0) return false;
  const [of] = await admin.fetchOffsets({ groupId, topics: [topic] });
  const committed = new Map(of?.partitions.map((each) => [each.partition, BigInt(each.offset)]));
  return [...ends].some(([partition, end]) => (committed.get(partition) ?? -1n) < end);
}
