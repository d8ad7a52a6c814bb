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

async function inTables(db: Database, texts: readonly string[]): Promise<string[]> {
  const columns = await db.select<{ tableName: string; name: string }>(
    `SELECT TABLE_NAME AS tableName, COLUMN_NAME AS name FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = DATABASE() AND DATA_TYPE IN
       ('varchar', 'char', 'text', 'mediumtext', 'longtext', 'varbinary', 'blob', 'mediumblob')`,
  );
  const found: string[] = [];
  for (const { tableName, name } of columns) {
    if (ALLOWED.includes(tableName)) continue;
    for (const text of texts) {
      const [row] = await db.select<{ n: number }>(
        `SELECT COUNT(*) AS n FROM ${tableName} WHERE INSTR(${name}, ?) > 0`,
        [text],
      );
      if ((row?.n ?? 0) > 0) found.push(`${tableName}.${name}: ${text}`);
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

async function valueOf(redis: Redis, key: string): Promise<string> {
  const type = await redis.type(key);
  if (type === 'hash') return JSON.stringify(await redis.hgetall(key));
  if (type === 'string') return (await redis.get(key)) ?? '';
  if (type === 'none') return '';
  throw new Error(`${key} is a ${type}, which this does not know`);
}
