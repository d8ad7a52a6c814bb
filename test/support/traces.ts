/** Everything that MySQL and Redis hold, searched for a text: what a deletion must leave nothing of. */
import type { Redis } from 'ioredis';
import type { Database } from '../../src/activities/mysql/database';

/** Where an erased id stands on purpose. */
const ALLOWED = ['audit_logs', 'erased_messages'];

/** Where any of the texts stands, in any column of any table and any Redis key or value. */
export async function tracesOf(
  db: Database,
  redis: Redis,
  texts: readonly string[],
): Promise<string[]> {
  return [...(await inTables(db, texts)), ...(await inRedis(redis, texts))];
}

/** Columns that can hold no text of anybody's. */
const NUMERIC = ['bigint', 'int', 'tinyint', 'smallint', 'double', 'decimal', 'timestamp'];

async function inTables(db: Database, texts: readonly string[]): Promise<string[]> {
  const tables = await db.select<{ tableName: string; names: string }>(
    `SELECT TABLE_NAME AS tableName, GROUP_CONCAT(CONCAT('\`', COLUMN_NAME, '\`')) AS names
     FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE NOT IN (?)
     GROUP BY TABLE_NAME`,
    [NUMERIC],
  );
  const found: string[] = [];
  for (const { tableName, names } of tables) {
    if (ALLOWED.includes(tableName)) continue;
    for (const text of texts) {
      const rows = await db.select(
        `SELECT 1 FROM ${tableName} WHERE INSTR(CONCAT_WS('\n', ${names}), ?) > 0 LIMIT 1`,
        [text],
      );
      if (rows.length > 0) found.push(`${tableName}: ${text}`);
    }
  }
  return found;
}

async function inRedis(redis: Redis, texts: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (let cursor = '0'; ;) {
    const [next, keys] = await redis.scan(cursor, 'COUNT', 1_000);
    for (const key of keys) {
      const value = await valueOf(redis, key);
      for (const text of texts) {
        if (key.includes(text) || value.includes(text)) found.push(`redis ${key}`);
      }
    }
    if (next === '0') return found;
    cursor = next;
  }
}

/** How the whole value of each type is read. */
const READERS: Readonly<Record<string, (redis: Redis, key: string) => Promise<unknown>>> = {
  none: () => Promise.resolve(''),
  string: (redis, key) => redis.get(key),
  hash: (redis, key) => redis.hgetall(key),
  list: (redis, key) => redis.lrange(key, 0, -1),
  set: (redis, key) => redis.smembers(key),
  zset: (redis, key) => redis.zrange(key, '0', '-1'),
  stream: (redis, key) => redis.xrange(key, '-', '+'),
};

async function valueOf(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key);
  const read = READERS[type];
  if (!read) throw new Error(`${key} is a ${type}, which this does not know`);
  return JSON.stringify(await read(redis, key));
}
