/** Which entries of the audit log an export holds, and by whom it says they are. */
import type { Database } from '../../src/activities/mysql/database';
import { GdprJobs } from '../../src/activities/mysql/gdpr-jobs';
import { exportParts, readBundle, writeBundle } from '../support/exports';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';

interface Entry {
  readonly actor: string;
  readonly actor_kind: string;
  readonly subject_id: string;
  readonly outcome: string;
}

describe('the audit log in an export', () => {
  let db: Database;
  let jobs: GdprJobs;

  beforeAll(async () => {
    db = await openDatabase();
    jobs = new GdprJobs(db, Date.now);
  });
  afterAll(() => db.close());

  async function erasureOf(userId: string, requestedBy: string): Promise<void> {
    const { job } = await jobs.request({
      kind: 'erase',
      userId,
      requestedBy,
      requestedRole: userId === requestedBy ? 'own' : 'compliance',
      name: unique('job'),
      workflowId: () => `gdpr-erase/${userId}`,
      input: { userId },
      audit: { action: 'user.erase', subjectKind: 'user', subjectId: userId },
    });
    await jobs.finish({ jobId: job.jobId, state: 'done', steps: [], expires: [] });
  }
  async function auditOf(userId: string): Promise<Entry[]> {
    const parts = await exportParts(db);
    const text = await readBundle(parts, await writeBundle(parts, userId));
    return (JSON.parse(text) as { audit: Entry[] }).audit;
  }
  const seen = ({ actor, actor_kind, outcome }: Entry) => [actor, actor_kind, outcome];

  it('of the user "system" has what they did, and nothing of what the service did for others', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await erasureOf(alice, alice);
    await erasureOf(bob, 'system');
    const entries = await auditOf('system');
    expect(entries.filter(({ subject_id }) => subject_id === alice)).toEqual([]);
    expect(entries.filter(({ subject_id }) => subject_id === bob).map(seen)).toEqual([
      ['system', 'user', 'requested'],
    ]);
    // What the service did about them is theirs, too.
    await erasureOf('system', 'officer');
    const about = (await auditOf('system')).filter(({ subject_id }) => subject_id === 'system');
    expect(about.slice(-2).map(seen)).toEqual([
      ['compliance', 'compliance', 'requested'],
      ['system', 'service', 'done'],
    ]);
  });

  it('tells no one that it was an officer with the id "system" who asked', async () => {
    const alice = unique('alice');
    await erasureOf(alice, 'system');
    expect((await auditOf(alice)).map(seen)).toEqual([
      ['compliance', 'compliance', 'requested'],
      ['system', 'service', 'done'],
    ]);
  });
});
