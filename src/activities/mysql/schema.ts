/**
 * The schema, made by its owner; and what the service's own database user may do with it: everything
 * with rows, but only read and append in `audit_logs`. Where one user is both, the log is not
 * append-only, which is said in the process's log.
 */
import { createConnection } from 'mysql2/promise';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import type { Logger } from '../../logger';
import { migrate } from './migrate';

export interface SchemaOptions {
  /** As the service's own user. */
  readonly url: string;
  /** `USER:PASSWORD` of the owner. */
  readonly owner: string | undefined;
  readonly folder: string;
  readonly log: Logger;
}

const APPEND_ONLY = 'audit_logs';
/** In the whole database; the last two are what a dump needs. */
const EVERYWHERE = ['SELECT', 'INSERT', 'LOCK TABLES', 'SHOW VIEW'];
/** In every table that is not append-only. */
const PER_TABLE = ['UPDATE', 'DELETE'];
const CONNECT_DEADLINE_MS = 5_000;
const STATEMENT_DEADLINE_MS = 30_000;
const ACCESS_DENIED = 'ER_ACCESS_DENIED_ERROR';
/** The user may not do this to the table, or to any. */
const REFUSED = ['ER_TABLEACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR'];

/** Migrates and narrows the rights of the service's user. Any number of processes may do this at once. */
export async function prepareSchema({ url, owner, folder, log }: SchemaOptions): Promise<void> {
  const ownerUrl = owner === undefined ? undefined : await ownersUrl(url, owner, log);
  if (ownerUrl) await migrate(ownerUrl, folder, (connection) => narrow(connection, url));
  else await migrate(url, folder);
  if (!(await isAppendOnly(url))) {
    log.warn(
      'audit_logs is not append-only: set MYSQL_OWNER to another user than that of MYSQL_URL',
    );
  }
}

/** Whether this user is refused to change or remove what stands in the log. */
export async function isAppendOnly(url: string): Promise<boolean> {
  return withConnection(url, async (connection) => {
    // Rights are looked at before rows: these find none.
    const attempts = [
      `UPDATE ${APPEND_ONLY} SET seq = seq WHERE 1 = 0`,
      `DELETE FROM ${APPEND_ONLY} WHERE 1 = 0`,
    ];
    for (const sql of attempts) {
      try {
        await run(connection, sql);
        return false;
      } catch (error) {
        if (!REFUSED.includes((error as { code?: string }).code ?? '')) throw error;
      }
    }
    return true;
  });
}

/** A server set up before there was an owner does not know them: better to go on, with a warning. */
async function ownersUrl(url: string, owner: string, log: Logger): Promise<string | undefined> {
  const [user = '', ...password] = owner.split(':');
  const own = new URL(url);
  own.username = encodeURIComponent(user);
  own.password = encodeURIComponent(password.join(':'));
  try {
    await withConnection(own.href, (connection) => run(connection, 'SELECT 1'));
    return own.href;
  } catch (error) {
    if ((error as { code?: string }).code !== ACCESS_DENIED) throw error;
    log.warn('MySQL refuses the user of MYSQL_OWNER: migrating as the user of MYSQL_URL');
    return undefined;
  }
}

/** By the owner: gives before it takes, so that a running service lacks nothing meanwhile. */
async function narrow(owner: Connection, serviceUrl: string): Promise<void> {
  const { account, database, schemaRights, tableRights } = await withConnection(
    serviceUrl,
    rightsOf,
  );
  const [ownerRow] = await run<{ account: string }>(owner, 'SELECT CURRENT_USER() AS account');
  const to = accountName(owner, account);
  if (ownerRow?.account === account) return;
  const tables = await run<{ name: string }>(
    owner,
    `SELECT TABLE_NAME AS name FROM information_schema.TABLES
     WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'`,
  );
  for (const { name } of tables) {
    if (name === APPEND_ONLY) continue;
    const has = tableRights.get(name) ?? [];
    if (PER_TABLE.every((right) => has.includes(right))) continue;
    await run(owner, `GRANT ${PER_TABLE.join(', ')} ON ${owner.escapeId(name)} TO ${to}`);
  }
  // A pattern in the place of the name: "_" alone would stand for any character.
  const everything = `${owner.escapeId(database.replaceAll('_', '\\_'))}.*`;
  if (EVERYWHERE.some((right) => !schemaRights.includes(right))) {
    await run(owner, `GRANT ${EVERYWHERE.join(', ')} ON ${everything} TO ${to}`);
  }
  const excess = schemaRights.filter((right) => !EVERYWHERE.includes(right));
  if (excess.length > 0)
    await run(owner, `REVOKE ${excess.join(', ')} ON ${everything} FROM ${to}`);
}

interface Rights {
  readonly account: string;
  readonly database: string;
  readonly schemaRights: readonly string[];
  readonly tableRights: ReadonlyMap<string, readonly string[]>;
}

/** What the user of this connection may do, as far as it is said of this database by name. */
async function rightsOf(connection: Connection): Promise<Rights> {
  const [self] = await run<{ account: string; name: string }>(
    connection,
    'SELECT CURRENT_USER() AS account, DATABASE() AS name',
  );
  if (!self) throw new Error('MySQL does not say who we are');
  const grantee = accountName(connection, self.account);
  const schemas = await run<{ name: string; right: string }>(
    connection,
    `SELECT TABLE_SCHEMA AS name, PRIVILEGE_TYPE AS \`right\`
     FROM information_schema.SCHEMA_PRIVILEGES WHERE GRANTEE = ?`,
    [grantee],
  );
  const tables = await run<{ name: string; right: string }>(
    connection,
    `SELECT TABLE_NAME AS name, PRIVILEGE_TYPE AS \`right\`
     FROM information_schema.TABLE_PRIVILEGES WHERE GRANTEE = ? AND TABLE_SCHEMA = DATABASE()`,
    [grantee],
  );
  const tableRights = new Map<string, string[]>();
  for (const { name, right } of tables) {
    tableRights.set(name, [...(tableRights.get(name) ?? []), right]);
  }
  return {
    account: self.account,
    database: self.name,
    schemaRights: schemas
      .filter(({ name }) => name.replaceAll('\\_', '_') === self.name)
      .map(({ right }) => right),
    tableRights,
  };
}

/** `'user'@'host'` of `user@host`; a user's name may hold an "@", a host may not. */
function accountName(connection: Connection, account: string): string {
  const at = account.lastIndexOf('@');
  return `${connection.escape(account.slice(0, at))}@${connection.escape(account.slice(at + 1))}`;
}

async function withConnection<T>(
  url: string,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = await createConnection({ uri: url, connectTimeout: CONNECT_DEADLINE_MS });
  try {
    return await work(connection);
  } finally {
    await connection.end();
  }
}

async function run<T>(
  connection: Connection,
  sql: string,
  values: readonly unknown[] = [],
): Promise<T[]> {
  const [rows] = await connection.query<RowDataPacket[]>({
    sql,
    values: [...values],
    timeout: STATEMENT_DEADLINE_MS,
  });
  return rows as unknown as T[];
}
