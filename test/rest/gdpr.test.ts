/** Following requests about personal data over REST: who sees which job, lists, the audit log. */
import type { Database } from '../../src/activities/mysql/database';
import { GdprJobs } from '../../src/activities/mysql/gdpr-jobs';
import type { NewGdprJob } from '../../src/activities/mysql/gdpr-jobs';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient, tokenFor } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

interface WireJob {
  readonly job_id: string;
  readonly state: string;
  readonly requested_by?: string;
  readonly workflow_id?: string;
  readonly steps: readonly { name: string; counts: Record<string, number> }[];
  readonly expires: readonly { what: string; at: number }[];
  readonly finished_at?: number;
}

describe('jobs about personal data', () => {
  let system: TestSystem;
  let db: Database;
  let rest: RestClient;
  let jobs: GdprJobs;

  beforeAll(async () => {
    system = await startSystem();
    db = await openDatabase();
    jobs = new GdprJobs(db, Date.now);
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  });
  afterAll(async () => {
    await db.close();
    await system.close();
  });

  function erasure(userId: string, requestedBy = userId): NewGdprJob {
    return {
      kind: 'erase',
      userId,
      requestedBy,
      requestedRole: userId === requestedBy ? 'own' : 'compliance',
      name: `gdpr-erase/${userId}`,
      workflowId: () => `gdpr-erase/${userId}`,
      input: { userId },
      audit: { action: 'user.erase', subjectKind: 'user', subjectId: userId },
    };
  }

  function deletion(messageId: string, userId: string): NewGdprJob {
    return {
      kind: 'delete',
      userId,
      requestedBy: userId,
      requestedRole: 'own',
      name: `gdpr-delete/${messageId}`,
      workflowId: () => `gdpr-delete/${messageId}`,
      input: { messageId },
      audit: { action: 'message.delete', subjectKind: 'message', subjectId: messageId },
    };
  }

  /** Before a sweep of another test's worker takes it for one that nobody has started. */
  const end = (jobId: string) => jobs.finish({ jobId, state: 'done', steps: [], expires: [] });

  async function get(user: string, path: string, scope = ''): Promise<Answer> {
    const token = await tokenFor(user, scope ? { scope } : {});
    return rest.send('GET', path, { authorization: `Bearer ${token}` });
  }
  const asOfficer = (path: string) => get('officer', path, 'im:compliance');
  const jobOf = (answer: Answer) => answer.body as unknown as WireJob;

  test('are seen by who asked, whom they are about and compliance: an id is not enough', async () => {
    const [user, officer] = [unique('user'), unique('officer')];
    const { job } = await jobs.request(erasure(user, officer));
    const path = `/api/v1/gdpr/jobs/${job.jobId}`;
    expect(jobOf(await get(user, path))).toMatchObject({ state: 'requested', user_id: user });
    expect(jobOf(await get(user, path)).requested_by).toBeUndefined();
    expect(jobOf(await get(officer, path)).requested_by).toBe(officer);
    expect(jobOf(await asOfficer(path)).requested_by).toBe(officer);
    for (const scope of ['', 'im:operator']) {
      const answer = await get(unique('other'), path, scope);
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe('NOT_FOUND');
    }
    expect((await get(user, `/api/v1/gdpr/jobs/${unique('job')}`)).status).toBe(404);
    await end(job.jobId);
  });

  test('are joined by a second request while they run, and made anew afterwards', async () => {
    const user = unique('user');
    const asked = await Promise.all([1, 2, 3, 4].map(() => jobs.request(erasure(user))));
    const ids = new Set(asked.map(({ job }) => job.jobId));
    expect(ids.size).toBe(1);
    expect(asked.filter(({ joined }) => !joined)).toHaveLength(1);
    const [jobId = ''] = ids;
    await end(jobId);
    const { job } = await jobs.request(erasure(user));
    expect(job.jobId).not.toBe(jobId);
    await end(job.jobId);
  });

  test('tell what was done and what expires by itself, and name no message once they ended', async () => {
    const [user, msgId] = [unique('user'), unique('msg')];
    const { job } = await jobs.request(deletion(msgId, user));
    const steps = [
      {
        name: 'redis',
        state: 'done' as const,
        startedAt: 1,
        finishedAt: 2,
        counts: { keys_removed: 1 },
      },
    ];
    await jobs.record({ jobId: job.jobId, state: 'running', steps });
    const path = `/api/v1/gdpr/jobs/${job.jobId}`;
    expect(jobOf(await get(user, path))).toMatchObject({
      state: 'running',
      steps: [{ name: 'redis', state: 'done', started_at: 1, finished_at: 2 }],
    });
    const expires = [{ what: 'kafka:offline_msg', at: 3 }];
    const proof = { jobId: job.jobId, state: 'done' as const, steps, expires };
    await jobs.finish(proof);
    // Its answer was lost, and it is made again; a late note of progress changes nothing either.
    await jobs.finish({ ...proof, state: 'failed' });
    await jobs.record({ jobId: job.jobId, state: 'running', steps: [] });
    const done = jobOf(await get(user, path));
    expect(done).toMatchObject({ state: 'done', expires });
    expect(done.steps[0]?.counts).toEqual({ keys_removed: 1 });
    expect(done.workflow_id).toBeUndefined();
    const [row = {}] = await db.select('SELECT * FROM gdpr_jobs WHERE job_id = ?', [job.jobId]);
    expect(JSON.stringify(row)).not.toContain(msgId);
  });

  test('are listed for compliance, newest first, by user and state, in pages', async () => {
    const user = unique('user');
    const made: string[] = [];
    for (let i = 0; i < 5; i++) {
      const { job } = await jobs.request(erasure(user));
      made.unshift(job.jobId);
      if (i < 4) await end(job.jobId);
    }
    const seen: string[] = [];
    for (let cursor = ''; ;) {
      const page = await asOfficer(`/api/v1/gdpr/jobs?user_id=${user}&limit=2&cursor=${cursor}`);
      const { jobs: listed } = page.body as unknown as { jobs: WireJob[] };
      seen.push(...listed.map(({ job_id }) => job_id));
      cursor = page.body.next_cursor;
      if (!page.body.has_more) break;
    }
    expect(seen).toEqual(made);
    const open = await asOfficer(`/api/v1/gdpr/jobs?user_id=${user}&state=requested`);
    expect((open.body as unknown as { jobs: WireJob[] }).jobs.map(({ job_id }) => job_id)).toEqual([
      made[0],
    ]);
    await end(made[0] ?? '');
    const unknown = '00000000-0000-4000-8000-000000000000';
    expect((await asOfficer(`/api/v1/gdpr/jobs?cursor=${unknown}`)).body.code).toBe(
      'INVALID_CURSOR',
    );
    expect((await asOfficer('/api/v1/gdpr/jobs?state=lost')).body.code).toBe('INVALID_REQUEST');
    expect((await get(user, '/api/v1/gdpr/jobs')).body.code).toBe('FORBIDDEN');
  });

  test('are in the audit log: each request, who joined it, and how it ended', async () => {
    const user = unique('user');
    const { job } = await jobs.request(erasure(user));
    // A user may have this id: who acted is told by the kind.
    await jobs.request(erasure(user, 'system'));
    await jobs.finish({ jobId: job.jobId, state: 'blocked', steps: [], expires: [] });
    const path = `/api/v1/gdpr/audit?subject_kind=user&subject_id=${user}`;
    const { entries } = (await asOfficer(path)).body as unknown as {
      entries: {
        actor: string;
        actor_kind: string;
        outcome: string;
        details: { job_id: string };
      }[];
    };
    expect(entries.map((entry) => [entry.actor, entry.actor_kind, entry.outcome])).toEqual([
      ['system', 'service', 'blocked'],
      ['system', 'user', 'joined'],
      [user, 'user', 'requested'],
    ]);
    expect(new Set(entries.map(({ details }) => details.job_id))).toEqual(new Set([job.jobId]));
    const first = (await asOfficer(`${path}&limit=1`)).body;
    expect(first.has_more).toBe(true);
    const rest2 = (await asOfficer(`${path}&cursor=${first.next_cursor}`)).body;
    expect((rest2 as unknown as { entries: object[] }).entries).toHaveLength(2);
    expect((await get(user, path)).body.code).toBe('FORBIDDEN');
  });
});
