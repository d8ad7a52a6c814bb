/** An export whose worker is killed at each of its steps comes to the same. */
import type { Client, WorkflowHandle } from '@temporalio/client';
import { temporal as protos } from '@temporalio/proto';
import { createConnection } from 'mysql2/promise';
import type { Connection } from 'mysql2/promise';
import type { Database } from '../../src/activities/mysql/database';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { loadConfig } from '../../src/config';
import { unique } from '../support/ids';
import { ImClient } from '../support/im-client';
import { stored } from '../support/groups';
import { fillMessages } from '../support/many-messages';
import { openDatabase } from '../support/mysql';
import { freePort, ProductProcess } from '../support/processes';
import { message } from '../support/records';
import { RestClient } from '../support/rest-client';
import type { Answer } from '../support/rest-client';
import { startUsers, testConfig } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal } from '../support/worker';

const { PendingActivityState } = protos.api.enums.v1;

interface Exported {
  readonly messages: readonly object[];
  readonly receipts: readonly object[];
  readonly devices: readonly object[];
}
interface Job {
  readonly state: string;
  readonly workflow_id: string;
  readonly download_url: string;
}

let server: ProductProcess;
let worker: ProductProcess;
let client: ImClient;
let users: Awaited<ReturnType<typeof startUsers>>;
let db: Database;
let rest: RestClient;
let temporal: Client;

beforeAll(async () => {
  users = await startUsers(0);
  const [grpc, http, workerHttp] = [await freePort(), await freePort(), await freePort()];
  const env = {
    USER_SERVICE_ADDRESS: users.grpcAddress,
    GRPC_PORT: String(grpc),
    HTTP_PORT: String(http),
    IM_WORKER_HTTP_PORT: String(workerHttp),
  };
  server = new ProductProcess('server', http, env);
  worker = new ProductProcess('worker', workerHttp, env);
  // The worker's `/ready` first: it makes the topics. Nobody's gateway is needed here.
  await worker.start();
  await server.start();
  client = new ImClient(grpc);
  db = await openDatabase();
  rest = new RestClient(`http://127.0.0.1:${http}`);
  temporal = await connectTemporal(testConfig());
}, 120_000);
afterAll(async () => {
  client.close();
  await Promise.all([server.end('SIGTERM'), worker.end('SIGTERM')]);
  await temporal.connection.close();
  await users.stop();
  await db.close();
}, 60_000);

/** Locks of a session of their own: whoever needs what they hold waits. */
class Lock {
  private constructor(private readonly connection: Connection) {}

  static async take(...statements: string[]): Promise<Lock> {
    const connection = await createConnection({ uri: loadConfig(process.env).MYSQL_URL });
    for (const sql of statements) await connection.query(sql);
    return new Lock(connection);
  }

  static onTable(table: string): Promise<Lock> {
    return Lock.take(`LOCK TABLES ${table} WRITE`);
  }

  async release(): Promise<void> {
    await this.connection.query('ROLLBACK');
    await this.connection.query('UNLOCK TABLES');
    await this.connection.end();
  }
}

const jobOf = ({ body }: Answer) => body as unknown as Job;

async function begin(user: string): Promise<{ path: string; handle: WorkflowHandle }> {
  const answer = await rest.get(user, '/api/v1/export');
  expect(answer.status).toBe(202);
  const path = answer.headers.get('location') ?? '';
  return { path, handle: temporal.workflow.getHandle(jobOf(answer).workflow_id) };
}

async function outcome(user: string, path: string): Promise<Exported> {
  await waitFor('the job to be done', 120_000, async () => {
    return jobOf(await rest.get(user, path)).state === 'done';
  });
  const { download_url } = jobOf(await rest.get(user, path));
  return contentOf(await rest.get(user, download_url));
}

/** What does not grow by asking. */
function contentOf({ body }: Answer): Exported {
  const { messages, receipts, devices } = body as unknown as Exported;
  return { messages, receipts, devices };
}

/** Waits until a worker has the activity of this step, which cannot end: something it needs is locked. */
async function stuckAt(handle: WorkflowHandle, step: string): Promise<void> {
  await waitFor(`the worker to be at ${step}`, 90_000, async () => {
    const { raw } = await handle.describe();
    const pending = raw.pendingActivities?.[0];
    if (pending?.state !== PendingActivityState.PENDING_ACTIVITY_STATE_STARTED) return false;
    const { events } = await handle.fetchHistory();
    const last = events?.findLast((event) => event.activityTaskScheduledEventAttributes);
    const { activityType, input } = last?.activityTaskScheduledEventAttributes ?? {};
    const text = Buffer.from(input?.payloads?.[0]?.data ?? []).toString();
    const { section = '' } = JSON.parse(text || '{}') as { section?: string };
    return `${activityType?.name} ${section}`.trim() === step;
  });
}

async function killAndRestart(relock: () => Promise<void>): Promise<void> {
  await worker.end('SIGKILL');
  // Nobody runs: what holds the next step up can be locked before this one goes on.
  await relock();
  await worker.start();
}

/** Someone with more than one chunk of messages sent, and a receipt given on a device of theirs. */
async function someone(deviceId: string): Promise<string> {
  const user = unique('alice');
  await fillMessages(db, user, { sent: 6_000, received: 0 });
  const read = message({ recipientId: user });
  await new ReadReceipts(db, Date.now).record({ ...read, readerId: user, deviceId, readAt: 7_000 });
  return user;
}

test('SIGKILL of the worker while it waits for Kafka, begins, writes messages, writes receipts: the same export', async () => {
  const alice = await someone('tablet');
  const whole = contentOf(await rest.get(alice, '/api/v1/export'));
  expect([whole.messages.length, whole.receipts.length]).toEqual([6_000, 1]);

  // A record that cannot be stored keeps the consumers behind, and the export at its first step.
  const [bob, first] = [unique('bob'), unique('msg')];
  const send = (msg_id: string) =>
    client.routePrivate({ msg_id, sender_id: unique('carol'), recipient_id: bob, content: 'hi' });
  expect((await send(first)).status).toBe('offline');
  await stored(db, [first]);
  let lock = await Lock.take(
    'START TRANSACTION',
    `SELECT * FROM inbox_heads WHERE user_id = '${bob}' FOR UPDATE`,
  );
  expect((await send(unique('msg'))).status).toBe('offline');
  const { path, handle } = await begin(alice);
  const next = async (table: string): Promise<void> => {
    const before = lock;
    lock = await Lock.onTable(table);
    await before.release();
  };
  await stuckAt(handle, 'exportCatchUp');
  await killAndRestart(() => next('export_bundles'));
  await stuckAt(handle, 'exportBegin');
  await killAndRestart(() => next('export_senders'));
  await stuckAt(handle, 'exportSection messages');
  await killAndRestart(() => next('export_devices'));
  await stuckAt(handle, 'exportSection receipts');
  await killAndRestart(() => lock.release());
  expect(await outcome(alice, path)).toEqual(whole);
}, 300_000);

test('SIGKILL of the worker while it writes devices, writes the audit section, completes the bundle: the same export', async () => {
  // Without a device the step of the devices is the first to need their table.
  const alice = await someone('');
  const whole = contentOf(await rest.get(alice, '/api/v1/export'));
  let lock = await Lock.onTable('export_devices');
  const { path, handle } = await begin(alice);
  await stuckAt(handle, 'exportSection devices');
  await killAndRestart(async () => {
    await lock.release();
    lock = await Lock.onTable('audit_logs');
  });
  await stuckAt(handle, 'exportSection audit');
  await killAndRestart(async () => {
    const before = lock;
    lock = await Lock.onTable('export_devices');
    await before.release();
  });
  await stuckAt(handle, 'exportFinish');
  await killAndRestart(() => lock.release());
  expect(await outcome(alice, path)).toEqual(whole);
}, 300_000);
