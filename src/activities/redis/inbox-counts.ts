/**
 * How many messages wait for each user: `inbox:count:{user}`, for the quota on the message path.
 *
 * MySQL (`inbox_heads.pending`) is the truth; this copy is set from it when missing and follows by
 * adding and subtracting, so it may be off by what is on its way through Kafka. It expires with
 * disuse and is set anew, which also ends any drift.
 */
import type { RedisConnection } from './connection';

/** Seconds after which an unused count is forgotten and read from MySQL again. */
const COUNT_TTL_S = 60 * 60;

/** Redis key of a user's count. */
export function countKey(userId: string): string {
  return `inbox:count:${userId}`;
}

export class InboxCounts {
  constructor(private readonly connection: RedisConnection) {}

  /** Sets a user's count from the truth. */
  async set(userId: string, count: number): Promise<void> {
    await this.connection.use().redis.set(countKey(userId), count, 'EX', COUNT_TTL_S);
  }

  /** Forgets users' counts: the next who asks takes them from MySQL. Returns how many there were. */
  async forget(userIds: readonly string[]): Promise<number> {
    return this.connection.use().redis.del(userIds.map(countKey));
  }

  /** Takes delivered messages off a user's count, if it is remembered. */
  async subtract(userId: string, count: number): Promise<void> {
    const { redis } = this.connection.use();
    // A count that is not remembered must stay so: DECRBY would make a negative one.
    if ((await redis.exists(countKey(userId))) === 1) await redis.decrby(countKey(userId), count);
  }
}
