/** The real Redis of the environment, by the product's own connection. */
import { pino } from 'pino';
import { RedisConnection } from '../../src/activities/redis/connection';
import { testConfig } from './system';

/** Ready, and of a generation that counters go on from. */
export async function openRedis(): Promise<RedisConnection> {
  const redis = new RedisConnection({
    url: testConfig().REDIS_URL,
    deadlineMs: 5_000,
    log: pino({ level: 'silent' }),
    generationOf: () => Promise.resolve(1),
  });
  await redis.whenReady();
  return redis;
}
