/** The export of a user's data, from the REST call through the workflow to the bundle. */
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { ExportBundles } from '../../src/activities/mysql/export-bundles';
import type { RunningWorker } from '../../src/worker';
import { encryptionOn } from '../support/encryption';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient, tokenFor } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

interface Exported {
  readonly messages: readonly { msg_id: string; type: string; content: string }[];
  readonly audit: readonly { actor: string; action: string; outcome: string }[];
  readonly total_messages: number;
}
interface Job {
  readonly job_id: string;
  readonly state: string;
  readonly workflow_id: string;
  readonly download_url?: string;
  readonly steps: readonly { name: string; waiting_for?: string; counts: object }[];
  readonly expires: readonly { what: string; at: number }[];
}

describe('the export of a user’s data', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  let temporal: Client;
  let db: Database;
  let rest: RestClient;

  beforeAll(async () => {
    system = await startSystem(encryptionOn());
    worker = await startTestWorker(system.config);
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
    await workerReady(worker);
  }, 90_000);
  afterAll(async () => {
    await worker.close();
    await temporal.connection.close();
    await system.close();
    await db.close();
  });

  async function get(
    user: string,
    path = '/api/v1/export',
    { scope = '', accept = '*/*' } = {},
  ): Promise<Answer> {
    const token = await tokenFor(user, scope ? { scope } : {});
    return rest.send('GET', path, { authorization: `Bearer ${token}`, accept });
  }
  const asOfficer = (path: string) => get('officer', path, { scope: 'im:compliance' });
  const exportedOf = ({ body }: Answer) => body as unknown as Exported;
  const jobOf = ({ body }: Answer) => body as unknown as Job;

  /** Asks, and fetches from the job if that is what the answer says. */
  async function exportOf(user: string): Promise<Exported> {
    const answer = await get(user);
    if (answer.status === 200) return exportedOf(answer);
    expect(answer.status).toBe(202);
    return exportedOf(await get(user, (await done(user, answer)).download_url));
  }

  async function done(user: string, answer: Answer): Promise<Job> {
    const path = answer.headers.get('location') ?? '';
    await waitFor('the job to be done', 40_000, async () => {
      return jobOf(await get(user, path)).state === 'done';
    });
    return jobOf(await get(user, path));
  }

  /** Sends to someone online and someone away in turns; resolves to the ids that were acknowledged. */
  async function sendSome(from: string, count: number): Promise<string[]> {
    const [online, away] = [unique('online'), unique('away')];
    await system.gateway.connect(online, 'phone');
    const ids = Array.from({ length: count }, () => unique('msg'));
    const answers = await Promise.all(
      ids.map((id, i) => system.send(from, i % 2 ? online : away, `text of ${id}`, id)),
    );
    expect(answers.every((answer) => answer.success && !answer.code)).toBe(true);
    return ids;
  }

  test('has everything that was acknowledged before the call, delivered or waiting, while more is sent', async () => {
    const alice = unique('alice');
    const before: string[] = [];
    for (let round = 0; round < 3; round++) {
      const later = sendSome(alice, 40);
      const { messages, total_messages } = await exportOf(alice);
      const ids = new Set(messages.map(({ msg_id }) => msg_id));
      expect(before.filter((id) => !ids.has(id))).toEqual([]);
      expect([messages.length, ids.size]).toEqual([total_messages, total_messages]);
      expect(messages.every((m) => m.content === `text of ${m.msg_id}`)).toBe(true);
      before.push(...(await later));
    }
  });

  test('waits for consumers that are behind, says so, and has what was still on Kafka', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await worker.close();
    const sent = await sendSome(alice, 20);
    const toAlice = unique('msg');
    await system.send(bob, alice, 'to alice', toAlice);
    const [first, second] = await Promise.all([get(alice), get(alice)]);
    expect([first.status, second.status]).toEqual([202, 202]);
    expect(first.headers.get('location')).toBe(`/api/v1/gdpr/jobs/${jobOf(first).job_id}`);
    // The second has joined the first.
    expect(jobOf(second).job_id).toBe(jobOf(first).job_id);
    expect(jobOf(first)).toMatchObject({ state: 'requested', steps: [] });
    expect(jobOf(first).download_url).toBeUndefined();

    worker = await startTestWorker(system.config);
    const job = await done(alice, first);
    expect(job.workflow_id).toBe(`gdpr-export/${alice}/${job.job_id}`);
    expect(job.steps.map(({ name, counts }) => [name, counts])).toMatchObject([
      ['kafka', {}],
      ['mysql', {}],
      ['mysql:messages', { records: 21 }],
      ['mysql:receipts', { records: 0 }],
      ['mysql:devices', { records: 0 }],
      ['mysql:audit', {}],
      ['bundle', { messages: 21 }],
    ]);
    const { messages } = exportedOf(await get(alice, job.download_url));
    expect(messages.map(({ msg_id }) => msg_id).sort()).toEqual([...sent, toAlice].sort());
  });

  test('is NDJSON for who accepts that, with the same records', async () => {
    const alice = unique('alice');
    await sendSome(alice, 4);
    const answer = await get(alice, '/api/v1/export', { accept: 'application/x-ndjson' });
    expect(answer.headers.get('content-type')).toBe('application/x-ndjson');
    const records = answer.text
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { record: string; user_id?: string });
    expect(records[0]).toMatchObject({ record: 'export', user_id: alice });
    expect(records.filter(({ record }) => record === 'message')).toHaveLength(4);
    expect(records.at(-1)).toEqual({ record: 'end', total_messages: 4 });
  });

  test('is for the user and for compliance: neither the id of another user nor that of a job is enough', async () => {
    const alice = unique('alice');
    await sendSome(alice, 2);
    const own = await get(alice);
    expect(own.status).toBe(200);
    const path = `/api/v1/export?user_id=${alice}`;
    for (const scope of ['', 'im:operator']) {
      const answer = await get(unique('other'), path, { scope });
      expect([answer.status, answer.body.code]).toEqual([403, 'FORBIDDEN']);
    }
    expect(exportedOf(await asOfficer(path)).total_messages).toBe(2);
    // A user's own id in the query is no other user.
    expect((await get(alice, path)).status).toBe(200);

    const { jobs } = (await asOfficer(`/api/v1/gdpr/jobs?user_id=${alice}`)).body as unknown as {
      jobs: Job[];
    };
    const [job] = jobs;
    const bundle = job?.download_url ?? '';
    expect((await get(alice, bundle)).status).toBe(200);
    for (const scope of ['', 'im:operator']) {
      const answer = await get(unique('other'), bundle, { scope });
      expect([answer.status, answer.body.code]).toEqual([404, 'NOT_FOUND']);
    }
    // Not even for who asked for it as compliance, once they are not compliance any more.
    expect((await get('officer', bundle)).status).toBe(404);
  });

  test('is in the audit log, and the log in the export: the request, its outcome, each download', async () => {
    const alice = unique('alice');
    await get(alice);
    await asOfficer(`/api/v1/export?user_id=${alice}`);
    const { audit } = exportedOf(await get(alice));
    expect(audit.map(({ actor, action, outcome }) => [actor, action, outcome])).toEqual([
      [alice, 'user.export', 'requested'],
      [alice, 'user.export.download', 'started'],
      [alice, 'user.export', 'requested'],
      ['system', 'user.export', 'done'],
      ['compliance', 'user.export', 'requested'],
      ['system', 'user.export', 'done'],
      ['compliance', 'user.export.download', 'started'],
    ]);
  });

  test('goes with the deletion of a message that it holds, whoever’s it is, and is whole without it', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const [doomed, kept, other] = [unique('msg'), unique('msg'), unique('msg')];
    await system.send(alice, bob, 'text of doomed', doomed);
    await system.send(alice, bob, 'text of kept', kept);
    await system.send(carol, bob, 'text of other', other);
    const bundles: [user: string, path: string][] = [];
    for (const user of [alice, bob, carol]) {
      await exportOf(user);
      const { jobs } = (await asOfficer(`/api/v1/gdpr/jobs?user_id=${user}&state=done`))
        .body as unknown as { jobs: Job[] };
      bundles.push([user, jobs[0]?.download_url ?? '']);
    }
    const idsOf = ({ messages }: Exported) => messages.map(({ msg_id }) => msg_id).sort();
    const [ofAlice, ofBob, ofCarol] = bundles as [
      [string, string],
      [string, string],
      [string, string],
    ];
    expect(idsOf(exportedOf(await get(...ofBob)))).toEqual([doomed, kept, other].sort());

    const headers = { authorization: `Bearer ${await tokenFor(alice)}` };
    await waitFor('the deletion', 40_000, async () => {
      return (await rest.send('DELETE', `/api/v1/messages/${doomed}`, headers)).status === 200;
    });
    for (const [user, path] of [ofAlice, ofBob]) {
      const gone = await get(user, path);
      expect([gone.status, gone.body.code]).toEqual([410, 'GONE']);
    }
    const ids = bundles.map(([, path]) => path.split('/').at(-2));
    const left = await db.select<{ id: string }>(
      `SELECT DISTINCT bundle_id AS id FROM export_bundle_chunks WHERE bundle_id IN (?)
       UNION SELECT bundle_id FROM export_senders WHERE bundle_id IN (?)`,
      [ids, ids],
    );
    expect(left).toEqual([{ id: ids[2] }]);
    expect(idsOf(exportedOf(await get(...ofCarol)))).toEqual([other]);
    expect(idsOf(await exportOf(bob))).toEqual([kept, other].sort());
  });

  test('can be followed in Temporal, where there is nothing of its content', async () => {
    const alice = unique('alice');
    await sendSome(alice, 2);
    await get(alice);
    const found = temporal.workflow.list({
      query: `ImUserId = "${alice}" AND ImRequest = "export"`,
    });
    const ids: string[] = [];
    await waitFor('the workflow to be listed', 20_000, async () => {
      for await (const { workflowId } of found) ids.push(workflowId);
      return ids.length > 0;
    });
    const handle = temporal.workflow.getHandle(ids[0] ?? '');
    expect(await handle.query('status')).toMatchObject({ kind: 'export', state: 'done' });
    const history = JSON.stringify(await handle.fetchHistory());
    expect(history).not.toContain('text of');
    expect(history).not.toContain(Buffer.from('text of').toString('base64').slice(0, 8));
  });

  test('cannot be fetched any more once it has expired', async () => {
    const alice = unique('alice');
    await get(alice);
    const { jobs } = (await asOfficer(`/api/v1/gdpr/jobs?user_id=${alice}`)).body as unknown as {
      jobs: Job[];
    };
    const [job] = jobs;
    const expiresAt = job?.expires[0]?.at ?? 0;
    expect(expiresAt - Date.now()).toBeGreaterThan(71 * 3_600_000);
    await db.execute('UPDATE export_bundles SET expires_at = 1 WHERE bundle_id = ?', [job?.job_id]);
    const expired = await get(alice, job?.download_url);
    expect([expired.status, expired.body.code]).toEqual([410, 'GONE']);
    await new ExportBundles(db).purgeExpired(2, 1_000);
    expect((await get(alice, job?.download_url)).status).toBe(410);
  });

  test('keeps the newest three bundles of a user, however often they ask', async () => {
    const alice = unique('alice');
    for (let i = 0; i < 5; i++) await get(alice);
    const rows = await db.select('SELECT 1 FROM export_bundles WHERE user_id = ?', [alice]);
    expect(rows).toHaveLength(3);
  });
});
