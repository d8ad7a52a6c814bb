/**
 * Versioned migrations: `migrations/NNNN_name.sql`, up only, each run once, checksummed.
 * Any number of processes may call this at once: a named lock lets one work while the others wait.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import type { Connection, RowDataPacket } from 'mysql2/promise';

/** Seconds another process may take to migrate before we give up. */
const LOCK_WAIT_S = 60;
/** A statement that builds an index on a large table takes long. */
const STATEMENT_DEADLINE_MS = 10 * 60_000;

/**
 * Brings the schema up to date; returns the names that were applied now. Throws if an applied file
 * changed. `afterwards` runs on the same connection, one process at a time.
 */
export async function migrate(
  url: string,
  folder: string,
  afterwards: (connection: Connection) => Promise<void> = () => Promise.resolve(),
): Promise<string[]> {
  const connection = await createConnection({
    uri: url,
    multipleStatements: true,
    connectTimeout: 5_000,
  });
  try {
    await lock(connection);
    await ensureOwnTable(connection);
    const [rows] = await connection.query<RowDataPacket[]>(
      'SELECT name, checksum FROM schema_migrations',
    );
    const done = new Map(rows.map((row) => [String(row['name']), String(row['checksum'])]));
    const applied = await applyMissing(connection, folder, done);
    await afterwards(connection);
    return applied;
  } finally {
    // Closing the session releases the lock.
    await connection.end();
  }
}

/** Looks first: a user who may not make tables can still find that there is nothing to do. */
async function ensureOwnTable(connection: Connection): Promise<void> {
  const [present] = await connection.query<RowDataPacket[]>(
    `SELECT 1 FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'schema_migrations'`,
  );
  if (present.length > 0) return;
  await run(
    connection,
    `CREATE TABLE IF NOT EXISTS schema_migrations (
       name VARCHAR(200) NOT NULL PRIMARY KEY,
       checksum CHAR(64) NOT NULL,
       applied_at BIGINT NOT NULL
     ) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin`,
  );
}

async function applyMissing(
  connection: Connection,
  folder: string,
  done: ReadonlyMap<string, string>,
): Promise<string[]> {
  const applied: string[] = [];
  const files = readdirSync(folder).filter((name) => name.endsWith('.sql'));
  for (const name of files.sort()) {
    const sql = readFileSync(join(folder, name), 'utf8');
    const checksum = createHash('sha256').update(sql).digest('hex');
    const before = done.get(name);
    if (before === checksum) continue;
    if (before) throw new Error(`migration ${name} was changed after it was applied`);
    await run(connection, sql);
    await run(connection, 'INSERT INTO schema_migrations VALUES (?, ?, ?)', [
      name,
      checksum,
      Date.now(),
    ]);
    applied.push(name);
  }
  return applied;
}

async function lock(connection: Connection): Promise<void> {
  // The lock is the server's, not the database's: its name carries the database.
  const [rows] = await connection.query<RowDataPacket[]>(
    "SELECT GET_LOCK(CONCAT('im-migrate-', SHA1(DATABASE())), ?) AS got",
    [LOCK_WAIT_S],
  );
  if (Number(rows[0]?.['got']) !== 1) {
    throw new Error(`another process has been migrating for ${LOCK_WAIT_S} s`);
  }
}

async function run(connection: Connection, sql: string, values: unknown[] = []): Promise<void> {
  await connection.query({ sql, values, timeout: STATEMENT_DEADLINE_MS });
}
