/** Lives of Redis: which is newer, and what each begins with. */
import { Redis } from 'ioredis';
import { Database } from '../../../src/activities/mysql/database';
import { generationOf } from '../../../src/activities/mysql/generations';
import { DOUBT_KEY, RedisConnection } from '../../../src/activities/redis/connection';
import { createLogger } from '../../../src/logger';
import { createDatabase } from '../../support/mysql';
import { testConfig } from '../../support/system';

const log = createLogger('silent', 'test');
const url = testConfig().REDIS_URL;

let schema: Awaited<ReturnType<typeof createDatabase>>;
let db: Database;
let client: Redis;
let doubt: string | null;
beforeAll(async () => {
  schema = await createDatabase();
  db = Database.open({ url: schema.url, connections: 2, deadlineMs: 5_000 });
  client = new Redis(url);
  // Others use this Redis too.
  doubt = await client.get(DOUBT_KEY);
});
afterAll(async () => {
  if (doubt === null) await client.del(DOUBT_KEY);
  else await client.set(DOUBT_KEY, doubt);
  await client.quit();
  await db.close();
  await schema.drop();
});

test('a life counts as seen only once it is prepared, and is prepared once', async () => {
  const prepared: boolean[] = [];
  const prepare = (isFirst: boolean) => {
    prepared.push(isFirst);
    return Promise.resolve();
  };
  const failing = generationOf(db, 'first', () => Promise.reject(new Error('Redis went away')));
  await expect(failing).rejects.toThrow('Redis went away');
  const first = await generationOf(db, 'first', prepare);
  expect(await generationOf(db, 'first', prepare)).toBe(first);
  expect(await generationOf(db, 'second', prepare)).toBeGreaterThan(first);
  expect(prepared).toEqual([true, false]);
});

test('a first life that two find at once is the first to both', async () => {
  await db.execute('DELETE FROM redis_generations');
  const prepared: boolean[] = [];
  const prepare = (isFirst: boolean) => {
    prepared.push(isFirst);
    return Promise.resolve();
  };
  const select = db.select.bind(db);
  jest.spyOn(db, 'select').mockImplementationOnce(async (...args) => {
    const rows = await select(...args);
    // Another process notes it between our look and our count.
    await generationOf(db, 'only', prepare);
    return rows;
  });
  await generationOf(db, 'only', prepare);
  expect(prepared).toEqual([true, true]);
});

test('a restarted Redis is doubted, also when the one who found it out ended there', async () => {
  await generationOf(db, 'the life before', () => Promise.resolve());
  await client.set(DOUBT_KEY, 0);
  const learner = (prepare?: () => Promise<void>) =>
    new RedisConnection({
      url,
      deadlineMs: 5_000,
      log,
      generationOf: (instance, itsOwn) => generationOf(db, instance, prepare ?? itsOwn),
    });
  const ended = await new Promise<RedisConnection>((resolve) => {
    const connection: RedisConnection = learner(() => {
      resolve(connection);
      return Promise.reject(new Error('the process ended'));
    });
  });
  await ended.close();
  const next = learner();
  await next.whenReady();
  await next.close();
  expect(Number(await client.get(DOUBT_KEY))).toBeGreaterThan(Date.now() + 5 * 60_000);
});
