/** The real MySQL of the environment, migrated. */
import { join } from 'node:path';
import { Database } from '../../src/activities/mysql/database';
import { migrate } from '../../src/activities/mysql/migrate';
import { loadConfig } from '../../src/config';
import { projectRoot } from '../../src/paths';

export async function openDatabase(): Promise<Database> {
  const url = loadConfig(process.env).MYSQL_URL;
  await migrate(url, join(projectRoot(), 'migrations'));
  return Database.open({ url, connections: 8, deadlineMs: 5_000 });
}
