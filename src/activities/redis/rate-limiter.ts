/** Requests a caller may make in a time, counted in Redis for all servers together. */
import { LuaScript } from './lua-script';
import type { RedisConnection } from './connection';

/** Every limit is per this long, ms. */
export const WINDOW_MS = 60_000;

export interface Allowance {
  readonly allowed: boolean;
  readonly limit: number;
  readonly remaining: number;
  /** Ms until the whole limit is there again. */
  readonly resetMs: number;
  /** Ms until the next request is let through; 0 when this one was. */
  readonly retryMs: number;
}

export class RateLimiter {
  private readonly takeScript = new LuaScript('take-rate');

  constructor(private readonly connection: RedisConnection) {}

  /** Takes one of `limit` requests a minute; rejects when Redis is away. */
  async take(kind: 'user' | 'address', caller: string, limit: number): Promise<Allowance> {
    const { redis } = this.connection.use();
    const [taken, remaining, resetMs, retryMs] = (await this.takeScript.run(
      redis,
      [`rate:${kind}:${caller}`],
      [limit, WINDOW_MS],
    )) as [number, number, number, number];
    return { allowed: taken === 1, limit, remaining, resetMs, retryMs };
  }
}
