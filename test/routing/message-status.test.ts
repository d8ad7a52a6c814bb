/** GetMessageStatus where Redis and MySQL say different things. */
import { Redis } from 'ioredis';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import type { RedisConnection } from '../../src/activities/redis/connection';
import { MessageStates } from '../../src/activities/redis/message-states';
import type { MessageStatus } from '../../src/domain/message';
import { createLogger } from '../../src/logger';
import { findMessageStatus } from '../../src/routing/message-status';
import { openDatabase } from '../support/mysql';
import { delivered, offline } from '../support/records';
import type { PrivateMessage } from '../support/records';
import { openRedis } from '../support/redis';
import { testConfig } from '../support/system';

let db: Database;
let redis: RedisConnection;
let client: Redis;
let states: MessageStates;
let messages: MessageStore;
beforeAll(async () => {
  db = await openDatabase();
  redis = await openRedis();
  client = new Redis(testConfig().REDIS_URL);
  states = new MessageStates(redis, 5_000);
  messages = new MessageStore(db, { ttlMs: 86_400_000 });
});
afterAll(async () => {
  await client.quit();
  await redis.close();
  await db.close();
});

const statusOf = ({ msgId }: Pick<PrivateMessage, 'msgId'>): Promise<MessageStatus | undefined> =>
  findMessageStatus({ states, messages, log: createLogger('silent', 'test') }, msgId);

/** As a server leaves it that could not record the answer. */
async function leftAt(state: 'routing' | 'offline', { msgId }: PrivateMessage): Promise<void> {
  const now = state === 'routing' ? 'routing 0 dead' : state;
  await client.hset(`msg:${msgId}`, { digest: 'd', state: now, seq: 1 });
  await client.expire(`msg:${msgId}`, 60);
}

describe('a message that Redis was not told the end of', () => {
  test.each(['routing', 'offline'] as const)(
    'is delivered once MySQL knows it to be: Redis says "%s"',
    async (state) => {
      const entry = delivered({}, 1_000, ['phone', 'laptop']);
      const { message } = entry as { message: PrivateMessage };
      await leftAt(state, message);
      expect(await statusOf(message)).toMatchObject({ status: 'pending', deliveredAt: 0 });
      await messages.storeDelivered([entry]);
      expect(await statusOf(message)).toEqual({
        status: 'delivered',
        deliveredAt: 1_000,
        readAt: 0,
        deliveredDevices: ['phone', 'laptop'],
      });
    },
  );

  test('is pending while it waits, and while MySQL cannot be asked', async () => {
    const entry = offline();
    await leftAt('routing', entry.message);
    await messages.storeOffline([entry]);
    expect(await statusOf(entry.message)).toMatchObject({ status: 'pending', deliveredAt: 0 });

    const away = await openDatabase();
    await away.close();
    const closed = new MessageStore(away, { ttlMs: 86_400_000 });
    const deps = { states, messages: closed, log: createLogger('silent', 'test') };
    expect(await findMessageStatus(deps, entry.message.msgId)).toMatchObject({ status: 'pending' });
  });
});
