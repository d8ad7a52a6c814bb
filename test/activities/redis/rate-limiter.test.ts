/** Allowances, whatever else is asked in the same turn. */
import type { RedisConnection } from '../../../src/activities/redis/connection';
import { RateLimiter } from '../../../src/activities/redis/rate-limiter';
import type { Take } from '../../../src/activities/redis/rate-limiter';
import { unique } from '../../support/ids';
import { openRedis } from '../../support/redis';

let redis: RedisConnection;
let limiter: RateLimiter;
beforeAll(async () => {
  redis = await openRedis();
  limiter = new RateLimiter(redis);
});
afterAll(() => redis.close());

const ofUser = (caller: string, limit: number): Take => ({ kind: 'user', caller, limit });
const ofAddress = (caller: string, limit: number): Take => ({ kind: 'address', caller, limit });

/** How many of a user's 5 requests are left, which takes one. */
async function leftTo(user: string): Promise<number | undefined> {
  const [allowance] = await limiter.take([ofUser(user, 5)]);
  return allowance?.remaining;
}

test('a turn with many requests of one caller lets exactly the allowance through', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) => limiter.take([ofUser(i % 2 ? alice : bob, 20)])),
  );
  for (const parity of [0, 1]) {
    const theirs = answers.filter((_, i) => i % 2 === parity).map(([allowance]) => allowance);
    expect(theirs.map((allowance) => allowance?.allowed)).toEqual([
      ...new Array<boolean>(20).fill(true),
      ...new Array<boolean>(80).fill(false),
    ]);
    expect(theirs[19]).toMatchObject({ remaining: 0, limit: 20, retryMs: 0 });
    expect(theirs[20]?.retryMs).toBeGreaterThan(0);
  }
});

test('an address that is refused takes nothing from the user', async () => {
  const [address, user] = [unique('address'), unique('user')];
  const both = (): Promise<readonly unknown[]> =>
    limiter.take([ofAddress(address, 2), ofUser(user, 5)]);
  const answers = await Promise.all([both(), both(), both(), both()]);
  expect(answers.map(([first]) => (first as { allowed: boolean }).allowed)).toEqual([
    true,
    true,
    false,
    false,
  ]);
  expect(await leftTo(user)).toBe(2);
});

test('a key that is not ours fails its caller alone', async () => {
  const client = redis.use().redis;
  const [list, text, user] = [unique('list'), unique('text'), unique('user')];
  await client.rpush(`rate:address:${list}`, 'x');
  await client.set(`rate:address:${text}`, 'no number');
  const [ofList, ofText, plain] = await Promise.all([
    limiter.take([ofAddress(list, 5), ofUser(user, 5)]),
    limiter.take([ofAddress(text, 5)]),
    limiter.take([ofUser(user, 5)]),
  ]);
  expect(ofList).toEqual([undefined, expect.objectContaining({ allowed: true, remaining: 4 })]);
  expect(ofText).toEqual([undefined]);
  expect(plain).toMatchObject([{ allowed: true, remaining: 3 }]);
  await client.unlink(`rate:address:${list}`, `rate:address:${text}`);
});
