/** Who may do what with the tables: the owner migrates, the service cannot rewrite the audit log. */
import { mkdtempSync, readdirSync, rmSync, copyFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { AuditLog } from '../../../src/activities/mysql/audit-log';
import { Database } from '../../../src/activities/mysql/database';
import { migrate } from '../../../src/activities/mysql/migrate';
import { isAppendOnly, prepareSchema } from '../../../src/activities/mysql/schema';
import { loadConfig } from '../../../src/config';
import type { Logger } from '../../../src/logger';
import { projectRoot } from '../../../src/paths';
import { unique } from '../../support/ids';
import { createDatabase, openDatabase } from '../../support/mysql';

const folder = join(projectRoot(), 'migrations');
const { MYSQL_URL: serviceUrl, MYSQL_OWNER: owner } = loadConfig(process.env);

const event = () => ({
  actor: 'system',
  action: 'test',
  subjectKind: 'job' as const,
  subjectId: 'none',
  outcome: 'done',
  details: {},
  entryKey: unique('entry'),
});

/** A logger that keeps what it is told. */
function listening(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  return { log: pino({ level: 'warn' }, { write: (line) => void lines.push(line) }), lines };
}

describe("the service's database user", () => {
  let db: Database;

  beforeAll(async () => {
    db = await openDatabase();
    await new AuditLog(db, Date.now).append(event());
  });
  afterAll(() => db.close());

  test.each([
    ['UPDATE', 'UPDATE audit_logs SET outcome = "x"'],
    ['UPDATE of one row', 'UPDATE audit_logs SET outcome = "x" WHERE seq = 1'],
    ['DELETE', 'DELETE FROM audit_logs'],
    ['TRUNCATE', 'TRUNCATE TABLE audit_logs'],
    ['DROP', 'DROP TABLE audit_logs'],
    ['ALTER', 'ALTER TABLE audit_logs DROP COLUMN hash'],
    ['RENAME', 'RENAME TABLE audit_logs TO audit_logs_old'],
    ['REPLACE', 'REPLACE INTO audit_logs SELECT * FROM audit_logs LIMIT 1'],
    [
      'an upsert',
      'INSERT INTO audit_logs SELECT * FROM audit_logs LIMIT 1 ON DUPLICATE KEY UPDATE outcome = "x"',
    ],
    [
      'a trigger',
      'CREATE TRIGGER t BEFORE INSERT ON audit_logs FOR EACH ROW SET NEW.outcome = "x"',
    ],
    ['DROP DATABASE', 'DROP DATABASE im'],
    ['a grant', "GRANT UPDATE ON audit_logs TO 'im'@'127.0.0.1'"],
  ])('is refused %s on audit_logs', async (_what, sql) => {
    await expect(db.execute(sql)).rejects.toMatchObject({
      errno: expect.any(Number) as number,
      code: expect.stringMatching(/DENIED|ER_CANT_CREATE/) as string,
    });
  });

  test('may read every table, append to the audit log, and write to all others', async () => {
    const tables = await db.select<{ name: string }>(
      `SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'im'`,
    );
    expect(tables.length).toBeGreaterThan(10);
    for (const { name } of tables) {
      await db.select(`SELECT * FROM ${name} LIMIT 1`);
      if (name !== 'audit_logs') await db.execute(`DELETE FROM ${name} WHERE 1 = 0`);
    }
    await new AuditLog(db, Date.now).append(event());
    expect(await isAppendOnly(serviceUrl)).toBe(true);
  });

  test('starts alone when there is nothing to migrate', async () => {
    const { log, lines } = listening();
    await prepareSchema({ url: serviceUrl, owner: undefined, folder, log });
    expect(lines).toEqual([]);
  });
});

describe('a database of its own', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let older: string;

  beforeEach(async () => {
    older = mkdtempSync(join(tmpdir(), 'im-migrations-'));
    for (const name of readdirSync(folder)) {
      if (name < '0020') copyFileSync(join(folder, name), join(older, name));
    }
    own = await createDatabase(older);
  });
  afterEach(async () => {
    await own.drop();
    rmSync(older, { recursive: true });
  });

  test('of an earlier version becomes append-only when an owner migrates it', async () => {
    const { log, lines } = listening();
    const db = Database.open({ url: own.url, connections: 2, deadlineMs: 5_000 });
    await Promise.all([1, 2, 3].map(() => prepareSchema({ url: own.url, owner, folder, log })));
    expect(lines).toEqual([]);
    expect(await isAppendOnly(own.url)).toBe(true);
    await db.execute('UPDATE inbox_heads SET pending = 0 WHERE 1 = 0');
    await db.close();
  });

  test('with one user for everything works, and the log says what that means', async () => {
    const { log, lines } = listening();
    await prepareSchema({ url: own.url, owner: undefined, folder, log });
    expect(lines.join()).toContain('audit_logs is not append-only');
    expect(await migrate(own.url, folder)).toEqual([]);
  });

  test('is migrated by the service itself where the owner is not known', async () => {
    const { log, lines } = listening();
    await prepareSchema({ url: own.url, owner: 'im_owner:wrong', folder, log });
    expect(lines.join()).toContain('refuses the user of MYSQL_OWNER');
  });
});
