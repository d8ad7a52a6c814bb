/** The real MySQL of the environment, migrated. */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createConnection } from 'mysql2/promise';
import { Database } from '../../src/activities/mysql/database';
import { migrate } from '../../src/activities/mysql/migrate';
import { prepareSchema } from '../../src/activities/mysql/schema';
import { loadConfig } from '../../src/config';
import { createLogger } from '../../src/logger';
import { projectRoot } from '../../src/paths';

const MIGRATIONS = join(projectRoot(), 'migrations');

export async function openDatabase(): Promise<Database> {
  const { MYSQL_URL: url, MYSQL_OWNER: owner } = loadConfig(process.env);
  const log = createLogger('silent', 'test');
  await prepareSchema({ url, owner, folder: MIGRATIONS, log });
  return Database.open({ url, connections: 8, deadlineMs: 5_000 });
}

/** A database of the test's own, migrated, and dropped in the end. */
export async function createDatabase(
  migrations = MIGRATIONS,
): Promise<{ url: string; drop(): Promise<void> }> {
  const url = new URL(loadConfig(process.env).MYSQL_URL);
  const name = `im_${randomUUID().replaceAll('-', '')}`;
  const connection = await createConnection({ uri: url.href });
  await connection.query(`CREATE DATABASE ${name} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin`);
  url.pathname = `/${name}`;
  await migrate(url.href, migrations);
  return {
    url: url.href,
    drop: async () => {
      await connection.end();
      // The owner may have taken the right to do so from the service's user.
      const owner = await createConnection({ uri: ownersUrl(url) });
      await owner.query(`DROP DATABASE ${name}`);
      await owner.end();
    },
  };
}

/** The same database for the owner, or for the service's user where there is no owner. */
function ownersUrl(service: URL): string {
  const [user, password] = loadConfig(process.env).MYSQL_OWNER?.split(':') ?? [];
  const url = new URL(service);
  if (user !== undefined) Object.assign(url, { username: user, password });
  return url.href;
}
