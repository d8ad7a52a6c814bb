/** The real MySQL of the environment, migrated. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Database } from '../../src/activities/mysql/database';
import { migrate } from '../../src/activities/mysql/migrate';
import { loadConfig } from '../../src/config';
import { projectRoot } from '../../src/paths';

export async function openDatabase(): Promise<Database> {
  const url = loadConfig(process.env).MYSQL_URL;
  await migrate(url, join(projectRoot(), 'migrations'));
  return Database.open({ url, connections: 8, deadlineMs: 5_000 });
}

/** A database of the test's own, migrated, and dropped in the end. */
export async function createDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const url = new URL(loadConfig(process.env).MYSQL_URL);
  const name = `im_${randomUUID().replaceAll('-', '')}`;
  const connection = await createConnection({ uri: url.href });
  await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  url.pathname = `/${name}`;
  await migrate(url.href, join(projectRoot(), 'migrations'));
  return {
    url: url.href,
    drop: async () => {
      await connection.query(`DROP DATABASE ${name}`);
      await connection.end();
    },
  };
}
