/** The audit log on a real MySQL: its chain, and what `npm run audit -- verify` finds. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { AuditLog } from '../../../src/activities/mysql/audit-log';
import { Database } from '../../../src/activities/mysql/database';
import { projectRoot } from '../../../src/paths';
import { unique } from '../../support/ids';
import { createDatabase } from '../../support/mysql';

function event(entryKey = unique('entry')) {
  return {
    actor: 'alice',
    action: 'message.delete',
    subjectKind: 'message' as const,
    subjectId: 'msg-1',
    outcome: 'requested',
    details: { job_id: 'job-1', counts: { inbox_rows: 2 } },
    entryKey,
  };
}

describe('the audit log', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let log: AuditLog;

  beforeEach(async () => {
    // Its user may do anything in it: these tests tamper.
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 8, deadlineMs: 10_000 });
    log = new AuditLog(db, Date.now);
  });
  afterEach(async () => {
    await db.close();
    await own.drop();
  });

  async function fill(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await log.append(event());
  }

  test('is one unbroken chain, however many append at once', async () => {
    await Promise.all(Array.from({ length: 40 }, () => log.append(event())));
    expect(await log.verify()).toEqual({ intact: 40 });
    const entries = await log.page({}, Number.MAX_SAFE_INTEGER, 100);
    expect(entries.map(({ seq }) => seq)).toEqual(Array.from({ length: 40 }, (_, i) => 40 - i));
  });

  test('takes an event once, however often it is appended', async () => {
    await Promise.all([1, 2, 3].map(() => log.append(event('the-same'))));
    expect(await log.verify()).toEqual({ intact: 1 });
  });

  test('is intact when it is empty', async () => {
    expect(await log.verify()).toEqual({ intact: 0 });
  });

  test.each([
    ['a changed row', 'UPDATE audit_logs SET outcome = "done" WHERE seq = 3', 3],
    ['changed details', 'UPDATE audit_logs SET details = "{}" WHERE seq = 5', 5],
    ['a removed row', 'DELETE FROM audit_logs WHERE seq = 4', 4],
    ['a removed first row', 'DELETE FROM audit_logs WHERE seq = 1', 1],
    ['a removed tail', 'DELETE FROM audit_logs WHERE seq > 5', 6],
    ['an emptied log', 'DELETE FROM audit_logs', 1],
    [
      'an added row',
      `INSERT INTO audit_logs SELECT 8, at, actor, action, subject_kind, subject_id, outcome, details,
         'another', hash, hash FROM audit_logs WHERE seq = 7`,
      8,
    ],
    [
      'a row whose hash was made to fit it',
      `UPDATE audit_logs SET outcome = "done", hash = SHA2("x", 256) WHERE seq = 2`,
      2,
    ],
  ])('tells of %s, by its number', async (_what, tampering, seq) => {
    await fill(7);
    await db.execute(tampering);
    expect((await log.verify()).broken).toMatchObject({ seq });
  });

  test('is verified by a command, which exits with 1 when it is broken', async () => {
    await fill(3);
    const verify = () =>
      spawnSync(process.execPath, [join(projectRoot(), 'dist', 'src', 'audit.js'), 'verify'], {
        env: { ...process.env, MYSQL_URL: own.url, MYSQL_OWNER: '' },
        encoding: 'utf8',
      });
    expect(verify()).toMatchObject({ status: 0, stdout: 'the audit log is intact: 3 rows\n' });
    await db.execute('UPDATE audit_logs SET actor = "mallory" WHERE seq = 2');
    const broken = verify();
    expect(broken.status).toBe(1);
    expect(broken.stdout).toContain('broken at row 2: it was changed');
  });
});
