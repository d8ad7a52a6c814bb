/** What an erasure takes out of Redis, whatever else is there. */
import type { RedisConnection } from '../../../src/activities/redis/connection';
import { countKey } from '../../../src/activities/redis/inbox-counts';
import { UserTraces } from '../../../src/activities/redis/user-traces';
import { unique } from '../../support/ids';
import { openRedis } from '../../support/redis';

let redis: RedisConnection;
beforeAll(async () => {
  redis = await openRedis();
});
afterAll(() => redis.close());

test('their messages and count go, of what they were sent only the devices, and a stray key is passed by', async () => {
  const client = redis.use().redis;
  const [alice, bob] = [unique('alice'), unique('bob')];
  const key = (name: string) => `msg:${unique(name)}`;
  const [sent, received, foreign, stray] = ['sent', 'received', 'foreign', 'stray'].map(key) as [
    string,
    string,
    string,
    string,
  ];
  const conv = `private:${[alice, bob].join('/')}`;
  await client.hset(sent, { sender: alice, conv, devices: 'phone' });
  await client.hset(received, { sender: bob, conv, devices: 'phone' });
  await client.hset(foreign, { sender: bob, conv: `private:${bob}/carol`, devices: 'phone' });
  await client.set(stray, 'not a hash');
  await client.set(countKey(alice), 3);

  const traces = new UserTraces(redis);
  let removed = 0;
  for (let cursor: string | undefined = '0'; cursor !== undefined;) {
    const page = await traces.erasePage(alice, cursor);
    removed += page.removed;
    cursor = page.next;
  }

  expect(removed).toBe(2);
  expect(await client.exists(sent, countKey(alice))).toBe(0);
  expect(await client.hgetall(received)).toEqual({ sender: bob, conv });
  expect(await client.hget(foreign, 'devices')).toBe('phone');
  expect(await client.get(stray)).toBe('not a hash');
  await client.unlink(received, foreign, stray);
});
