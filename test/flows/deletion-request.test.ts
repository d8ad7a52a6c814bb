/** Requests as those see them who follow them: in Temporal, by its CLI, and against a legal hold. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import type { GdprProof, GdprStep } from '../../src/domain/gdpr';
import { projectRoot } from '../../src/paths';
import type { RunningWorker } from '../../src/worker';
import { Deletions } from '../support/deletions';
import { stored } from '../support/groups';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { RestClient, tokenFor } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { commandsIn, TemporalCli } from '../support/temporal-cli';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker, workerReady } from '../support/worker';

let system: TestSystem;
let worker: RunningWorker;
let db: Database;
let redis: Redis;
let temporal: Client;
let rest: RestClient;
let deletions: Deletions;
let cli: TemporalCli;

beforeAll(async () => {
  system = await startSystem({
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_TEMPORAL_TASK_QUEUE: unique('queue'),
    // So long an erasure can be canceled.
    IM_ERASURE_DELAY_S: '120',
  });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
  redis = new Redis(system.config.REDIS_URL);
  rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  deletions = new Deletions({ client: system.client, rest, db, redis });
  temporal = await connectTemporal(system.config);
  cli = new TemporalCli(system.config, commandsIn('docs/compliance.md', 'compliance'));
  await workerReady(worker);
}, 90_000);
afterAll(async () => {
  await worker.close();
  await temporal.connection.close();
  redis.disconnect();
  await db.close();
  await system.close();
});

async function sent(): Promise<{ alice: string; bob: string; msgId: string; content: string }> {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const [msgId, content] = [unique('msg'), unique('content')];
  await system.send(alice, bob, content, msgId);
  await stored(db, [msgId]);
  return { alice, bob, msgId, content };
}

async function asOfficer(method: string, path: string, body?: object): Promise<Answer> {
  const token = await tokenFor('officer', { scope: 'im:compliance' });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return rest.send(method, path, headers, body && JSON.stringify(body));
}

test('the workflow can be followed by anyone who has Temporal’s UI, and its result is the proof', async () => {
  const { alice, msgId, content } = await sent();
  await deletions.removeForGood(alice, msgId, content);
  const handle = temporal.workflow.getHandle(`gdpr-delete/${msgId}`);
  const proof = (await handle.result()) as {
    steps: { name: string; counts: Record<string, number> }[];
  };
  expect(proof.steps.map(({ name }) => name)).toEqual([
    'erased_list',
    'redis',
    'mysql_messages',
    'export_bundles',
    'mysql_group_log',
    'mysql_inbox',
    'mysql_receipts',
    'redis_counts',
    'kafka',
  ]);
  expect(proof.steps[2]?.counts).toMatchObject({ messages: 1 });
  expect(proof.steps[5]?.counts).toEqual({ rows: 1, waiting: 1 });
  const history = JSON.stringify(await handle.fetchHistory());
  expect(history).not.toContain(Buffer.from(content).toString('base64').slice(0, 12));
  const found = await temporal.workflow.count(`ImRequest = "delete" AND ImUserId = "${alice}"`);
  expect(found.count).toBe(1);
});

test.each(['user', 'conversation'] as const)(
  'a legal hold on a %s blocks it before anything is destroyed, and it can be asked for again afterwards',
  async (kind) => {
    const { alice, bob, msgId, content } = await sent();
    const conversation = { type: 'private', id: [alice, bob].sort().join('_') };
    const subject = kind === 'user' ? { user_id: alice } : { conversation };
    const hold = await asOfficer('POST', '/api/v1/gdpr/holds', { ...subject, reason: 'a case' });
    expect(hold.status).toBe(201);
    const blocked = await deletions.remove(alice, msgId);
    expect([blocked.status, blocked.body.code]).toEqual([409, 'LEGAL_HOLD']);
    await stored(db, [msgId]);
    expect(await db.select('SELECT 1 FROM erased_messages WHERE msg_id = ?', [msgId])).toEqual([]);
    await asOfficer('DELETE', hold.headers.get('location') ?? '');
    await deletions.removeForGood(alice, msgId, content);
  },
);

test('the queries of the compliance page find requests, and its commands do what it says', async () => {
  const { alice, msgId, content } = await sent();
  await deletions.removeForGood(alice, msgId, content);
  await cli.operate('do it all again, after a repair: every step may be repeated', {
    MSG_ID: msgId,
  });
  const again = temporal.workflow.getHandle(`gdpr-delete/${msgId}`);
  expect(((await again.result()) as GdprProof).state).toBe('done');

  const erasure = await asOfficer('POST', '/api/v1/gdpr/erasure', { user_id: alice });
  const ofAlice = { USER_ID: alice };
  await waitFor('the delay', 30_000, async () => {
    return (await stepsOf(ofAlice)).at(-1)?.name === 'delay';
  });
  const details = await cli.shell(
    'temporal workflow metadata --workflow-id "gdpr-erase/$USER_ID"',
    ofAlice,
  );
  expect(details).toContain('Can be canceled until the keys are destroyed.');
  const listed = async (query: string): Promise<string> =>
    cli.shell('temporal workflow list --query "$QUERY"', { QUERY: query });
  const running = pageQuery('what has not ended', alice, msgId);
  await waitFor('the erasure to be listed as running', 20_000, async () => {
    return (await listed(running)).includes(`gdpr-erase/${alice}`);
  });
  await cli.operate('cancel, before anything is destroyed', ofAlice);
  await waitFor('the erasure to be canceled', 30_000, async () => {
    const job = await asOfficer('GET', erasure.headers.get('location') ?? '');
    return (job.body as unknown as { state: string }).state === 'canceled';
  });
  for (const [what, ids] of [
    ['everything asked about a user', [`gdpr-delete/${msgId}`, `gdpr-erase/${alice}`]],
    ['the deletion of one message', [`gdpr-delete/${msgId}`]],
    ['what somebody asked for', [`gdpr-erase/${alice}`]],
  ] as const) {
    const query = pageQuery(what, alice, msgId);
    await waitFor(`${what} to be listed`, 20_000, async () => {
      const found = await listed(query);
      return ids.every((id) => found.includes(id));
    });
  }
});

/** The steps that the page's command prints. */
async function stepsOf(env: Record<string, string>): Promise<readonly GdprStep[]> {
  try {
    const printed = await cli.operate('how far it is', env);
    const { steps } = JSON.parse(/\{.*\}/s.exec(printed)?.[0] ?? '') as {
      steps: GdprStep[] | null;
    };
    // The CLI prints an empty list as null.
    return steps ?? [];
  } catch {
    // Not started yet; waitFor has the deadline.
    return [];
  }
}

/** A query of the page's table, for these ids. */
function pageQuery(what: string, userId: string, msgId: string): string {
  const page = readFileSync(join(projectRoot(), 'docs', 'compliance.md'), 'utf8');
  const query = new RegExp(`^\\| ${what} \\| \`(.*)\` \\|$`, 'm').exec(page)?.[1];
  if (!query) throw new Error(`the page has no query for ${what}`);
  return query.replace('"alice"', `"${userId}"`).replace('"…"', `"${msgId}"`);
}
