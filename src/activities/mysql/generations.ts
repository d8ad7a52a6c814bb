/** Generations of Redis: which life of it is newer, remembered where Redis cannot lose it. */
import type { Generation } from '../redis/connection';
import type { Database } from './database';

/**
 * The generation of a life of Redis, `run id:replication id`: the one it was given before, or the next.
 */
export async function generationOf(db: Database, instance: string): Promise<Generation> {
  const known = await find(db, instance);
  if (known !== undefined) return { generation: known, seen: 'before' };
  const [before] = await db.select<{ lives: number }>(
    'SELECT COUNT(*) AS lives FROM redis_generations',
  );
  await db.execute(
    `INSERT INTO redis_generations (instance, created_at) VALUES (?, ?)
     ON DUPLICATE KEY UPDATE instance = instance`,
    [instance, Date.now()],
  );
  const added = await find(db, instance);
  if (added === undefined) throw new Error('a generation just inserted is not there');
  return { generation: added, seen: before?.lives === 0 ? 'first' : 'new' };
}

async function find(db: Database, instance: string): Promise<number | undefined> {
  const [row] = await db.select<{ generation: number }>(
    'SELECT generation FROM redis_generations WHERE instance = ?',
    [instance],
  );
  return row?.generation;
}
