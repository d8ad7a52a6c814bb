/** Generations of Redis: which life of it is newer, remembered where Redis cannot lose it. */
import type { Database } from './database';

/**
 * The generation of a life of Redis, `run id:replication id`: the one it was given before, or the next.
 *
 * `prepare` is run for a life not seen before, told whether there was none before it, and before it
 * counts as seen: if it fails, whoever asks next runs it again. Several may run it at once.
 */
export async function generationOf(
  db: Database,
  instance: string,
  prepare: (isFirst: boolean) => Promise<void>,
): Promise<number> {
  const known = await find(db, instance);
  if (known !== undefined) return known;
  // Not this one, which another process may have noted since: both have found the first life.
  const [before] = await db.select<{ lives: number }>(
    'SELECT COUNT(*) AS lives FROM redis_generations WHERE instance <> ?',
    [instance],
  );
  await prepare(before?.lives === 0);
  await db.execute(
    `INSERT INTO redis_generations (instance, created_at) VALUES (?, ?)
     ON DUPLICATE KEY UPDATE instance = instance`,
    [instance, Date.now()],
  );
  const added = await find(db, instance);
  if (added === undefined) throw new Error('a generation just inserted is not there');
  return added;
}

async function find(db: Database, instance: string): Promise<number | undefined> {
  const [row] = await db.select<{ generation: number }>(
    'SELECT generation FROM redis_generations WHERE instance = ?',
    [instance],
  );
  return row?.generation;
}
