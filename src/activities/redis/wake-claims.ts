/** Which sender was woken lately, by any server: `receipts:wake:{sender}`, gone after a window. */
import type { RedisConnection } from './connection';

export class WakeClaims {
  constructor(private readonly connection: RedisConnection) {}

  /** True for the first who asks within `ms`. Rejects when Redis is away. */
  async claim(senderId: string, ms: number): Promise<boolean> {
    const { redis } = this.connection.use();
    return (await redis.set(keyOf(senderId), 1, 'PX', ms, 'NX')) === 'OK';
  }

  /** Lets the next one be first: the wake did not succeed. */
  async release(senderId: string): Promise<void> {
    await this.connection.use().redis.del(keyOf(senderId));
  }
}

function keyOf(senderId: string): string {
  return `receipts:wake:${senderId}`;
}
