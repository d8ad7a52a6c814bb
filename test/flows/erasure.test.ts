/** A user is erased: asked for over REST, done by the workflow, shown by what everybody sees then. */
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import type { GdprProof, GdprStatus } from '../../src/domain/gdpr';
import { RETENTION_SCHEDULE } from '../../src/temporal/schedules';
import type { RunningWorker } from '../../src/worker';
import { encryptionOn } from '../support/encryption';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient, tokenFor } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startSystem, testConfig } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

const SECRET = 'what the erased user wrote';
const STEPS = [
  'legal_holds',
  'traces',
  'user_keys',
  'key_caches',
  'mysql_messages',
  'mysql_inbox',
  'mysql_receipts',
  'mysql_groups',
  'exports',
  'redis',
  'verification',
  'kafka',
];

interface WireJob {
  readonly job_id: string;
  readonly state: string;
  readonly steps: readonly { name: string; counts: Record<string, number> }[];
  readonly expires: readonly { what: string }[];
}

describe('the erasure of a user', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  let temporal: Client;
  let db: Database;
  let rest: RestClient;
  // Both settings: the delayed system only starts jobs that wait before they destroy.
  let delayed: TestSystem;
  let delayedRest: RestClient;

  beforeAll(async () => {
    // Jobs are asked for more often than a user may ask.
    const limits = { IM_RATE_LIMIT_USER: '0', IM_RATE_LIMIT_ADDRESS: '0' };
    const queue = { ...encryptionOn(), ...limits, IM_TEMPORAL_TASK_QUEUE: unique('queue') };
    system = await startSystem(queue);
    worker = await startTestWorker(
      testConfig({ ...queue, USER_SERVICE_ADDRESS: system.users.grpcAddress }),
    );
    await workerReady(worker);
    delayed = await startSystem({ ...queue, IM_ERASURE_DELAY_S: '120' });
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
    delayedRest = new RestClient(`http://127.0.0.1:${delayed.server.httpPort}`);
  }, 120_000);
  afterAll(async () => {
    await worker.close();
    await temporal.connection.close();
    await db.close();
    await delayed.close();
    await system.close();
  }, 60_000);

  function user(name: string): string {
    const id = unique(name);
    system.users.directory.addUser(id, id, '');
    return id;
  }

  async function call(
    client: RestClient,
    caller: string,
    path: string,
    body: object,
    scope = '',
  ): Promise<Answer> {
    const headers = {
      'content-type': 'application/json',
      authorization: `Bearer ${await tokenFor(caller, scope ? { scope } : {})}`,
    };
    return client.send('POST', path, headers, JSON.stringify(body));
  }
  const asOfficer = (client: RestClient, path: string, body: object) =>
    call(client, 'officer', path, body, 'im:compliance');
  const erase = (client: RestClient, userId: string) =>
    asOfficer(client, '/api/v1/gdpr/erasure', { user_id: userId });
  const jobOf = (answer: Answer) => answer.body as unknown as WireJob;
  const tokenOf = (answer: Answer) =>
    (answer.body as unknown as { confirmation_token: string }).confirmation_token;

  async function ended(jobId: string, caller: string): Promise<WireJob> {
    let job: WireJob | undefined;
    await waitFor('the job to end', 60_000, async () => {
      job = jobOf(await rest.get(caller, `/api/v1/gdpr/jobs/${jobId}`));
      // Of an answer such as 503 there is no state.
      return ['done', 'blocked', 'failed', 'canceled'].includes(job.state);
    });
    if (!job) throw new Error('no job');
    return job;
  }
  const handleOf = (userId: string) => temporal.workflow.getHandle(`gdpr-erase/${userId}`);

  it('takes two steps of their own, and then nothing of theirs is left but the places', async () => {
    const [alice, bob] = [user('alice'), user('bob')];
    const sent = await Promise.all([0, 1].map(() => system.send(alice, bob, SECRET)));
    expect(sent.map(({ status }) => status)).toEqual(['offline', 'offline']);
    const msgId = unique('msg');
    await system.send(bob, alice, 'hello alice', msgId);
    await waitFor('the messages to be stored', 30_000, async () => {
      const { body } = await rest.get(bob, '/api/v1/offline/count');
      return body.count === 2;
    });

    const path = '/api/v1/gdpr/erasure';
    const first = await call(rest, alice, path, {});
    expect(first.status).toBe(200);
    const wrong = await call(rest, alice, path, { confirmation_token: 'guessed' });
    expect([wrong.status, wrong.body.code]).toEqual([403, 'INVALID_CONFIRMATION']);
    const ofAnother = await call(rest, bob, path, { confirmation_token: tokenOf(first) });
    expect(ofAnother.body.code).toBe('INVALID_CONFIRMATION');
    const second = await call(rest, alice, path, { confirmation_token: tokenOf(first) });
    expect(second.status).toBe(202);
    expect(second.headers.get('location')).toBe(`/api/v1/gdpr/jobs/${jobOf(second).job_id}`);
    // Asked for again, by whomever: the same job.
    expect(jobOf(await erase(rest, alice)).job_id).toBe(jobOf(second).job_id);

    const job = await ended(jobOf(second).job_id, alice);
    expect(job.state).toBe('done');
    expect(job.steps.map(({ name }) => name)).toEqual(STEPS);
    const counts = Object.fromEntries(job.steps.map((step) => [step.name, step.counts]));
    expect(counts['user_keys']).toEqual({ destroyed: 1 });
    expect(counts['mysql_messages']).toEqual({ erased: 2 });
    expect(new Set(Object.values(counts['verification'] ?? {}))).toEqual(new Set([0]));
    expect(job.expires.map(({ what }) => what)).toContain('kafka:offline_msg (unreadable)');
    expect(await handleOf(alice).result()).toMatchObject({
      state: 'done',
    } satisfies Partial<GdprProof>);

    const history = await rest.get(
      bob,
      `/api/v1/conversations/private/${[alice, bob].sort().join('_')}/messages`,
    );
    expect(history.text).not.toContain(SECRET);
    const shown = history.body.messages as unknown as { content: string; unreadable?: string }[];
    expect(shown.map(({ content, unreadable }) => unreadable ?? content).sort()).toEqual([
      'erased',
      'erased',
      'hello alice',
    ]);
    expect((await rest.get(bob, '/api/v1/offline/count')).body.count).toBe(0);

    const from = await system.send(alice, bob, SECRET);
    expect(from).toMatchObject({ success: false, status: 'failed' });
    expect(from.error_message).toContain('ROUTING_FAILED');
    expect((await system.send(bob, alice)).error_message).toContain('INVALID_RECIPIENT');
    expect((await rest.get(alice, '/api/v1/offline')).body.code).toBe('FORBIDDEN');
  }, 120_000);

  it('is refused while a legal hold is in force, and both are in the audit log', async () => {
    const alice = user('alice');
    const hold = await asOfficer(rest, '/api/v1/gdpr/holds', { user_id: alice, reason: 'a case' });
    expect(hold.status).toBe(201);
    const refused = await erase(rest, alice);
    expect([refused.status, refused.body.code]).toEqual([409, 'LEGAL_HOLD']);
    expect((await call(rest, alice, '/api/v1/gdpr/erasure', {})).body.code).toBe('LEGAL_HOLD');
    const { hold_id } = hold.body as unknown as { hold_id: string };
    const headers = {
      authorization: `Bearer ${await tokenFor('officer', { scope: 'im:compliance' })}`,
    };
    const path = `/api/v1/gdpr/holds/${hold_id}`;
    expect((await rest.send('DELETE', path, headers)).status).toBe(200);
    expect((await rest.send('DELETE', path, headers)).status).toBe(200);
    const log = await rest.send('GET', `/api/v1/gdpr/audit?subject_id=${alice}`, headers);
    const { entries } = log.body as unknown as { entries: { action: string; outcome: string }[] };
    expect(entries.map(({ action, outcome }) => `${action} ${outcome}`)).toEqual([
      'legal.hold released',
      'user.erase refused',
      'user.erase refused',
      'legal.hold placed',
    ]);
    expect((await erase(rest, alice)).status).toBe(202);
  }, 60_000);

  it('is blocked by a hold that comes while it waits, and nothing is destroyed', async () => {
    const [alice, bob] = [user('alice'), user('bob')];
    await system.send(alice, bob, SECRET);
    const started = jobOf(await asOfficer(delayedRest, '/api/v1/gdpr/erasure', { user_id: alice }));
    await stepReached(alice, 'delay');
    await asOfficer(rest, '/api/v1/gdpr/holds', { user_id: alice, reason: 'a case' });
    // The delay is not what this is about: the same look comes right before the keys are destroyed.
    await handleOf(alice).terminate('started again without its delay');
    await temporal.workflow.start('gdprEraseUser', {
      workflowId: `gdpr-erase/${alice}`,
      taskQueue: system.config.IM_TEMPORAL_TASK_QUEUE,
      args: [
        {
          jobId: started.job_id,
          requestedBy: 'officer',
          userId: alice,
          soFar: [
            { name: 'legal_holds', state: 'done', startedAt: 1, counts: {} },
            { name: 'traces', state: 'done', startedAt: 1, counts: {} },
          ],
        },
      ],
    });
    expect((await ended(started.job_id, alice)).state).toBe('blocked');
    const keys = await db.select('SELECT 1 FROM user_keys WHERE user_id = ?', [alice]);
    expect(keys).toHaveLength(1);
  }, 60_000);

  async function stepReached(userId: string, name: string): Promise<void> {
    await waitFor(`step ${name}`, 30_000, async () => {
      try {
        const status = await handleOf(userId).query<GdprStatus, []>('status');
        return status.steps.some((step) => step.name === name);
      } catch (error) {
        // Not started yet.
        if ((error as Error).name === 'WorkflowNotFoundError') return false;
        throw error;
      }
    });
  }

  it('can be canceled before it destroys anything, and not after', async () => {
    const [alice, bob] = [user('alice'), user('bob')];
    await system.send(alice, bob, SECRET);
    const early = jobOf(await erase(delayedRest, alice));
    await stepReached(alice, 'delay');
    await handleOf(alice).cancel();
    expect((await ended(early.job_id, alice)).state).toBe('canceled');
    await expect(handleOf(alice).result()).rejects.toMatchObject({
      cause: { name: 'CancelledFailure' },
    });
    expect((await system.send(alice, bob, SECRET)).success).toBe(true);

    const late = jobOf(await erase(rest, alice));
    await stepReached(alice, 'key_caches');
    await handleOf(alice).cancel();
    expect((await ended(late.job_id, alice)).state).toBe('done');
    expect(await handleOf(alice).result()).toMatchObject({ state: 'done' });
  }, 90_000);

  it('is followed by retention on its schedule, which counts what it removed', async () => {
    const schedule = temporal.schedule.getHandle(RETENTION_SCHEDULE);
    await schedule.trigger();
    let workflowId = '';
    await waitFor('a run of the schedule', 30_000, async () => {
      const { info } = await schedule.describe();
      const action = info.recentActions.at(-1)?.action;
      workflowId = action?.type === 'startWorkflow' ? action.workflow.workflowId : '';
      return workflowId !== '';
    });
    const result = (await temporal.workflow.getHandle(workflowId).result()) as object;
    expect(Object.keys(result)).toEqual(
      expect.arrayContaining(['expireInbox', 'purgeInbox', 'purgeMessages', 'purgeErasedIds']),
    );
  }, 60_000);
});
