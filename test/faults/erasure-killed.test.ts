/**
 * The worker is killed at the end of each step of an erasure, before it could say that it was done; in
 * that of Kafka: requests-wait.test.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { spawn } from 'node:child_process';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { GdprJobs } from '../../src/activities/mysql/gdpr-jobs';
import { Inbox } from '../../src/activities/mysql/inbox';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import type { GdprProof } from '../../src/domain/gdpr';
import { projectRoot } from '../../src/paths';
import { encryptionOn, openEncryption } from '../support/encryption';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { freePort, ProductProcess } from '../support/processes';
import { delivered, offline } from '../support/records';
import { startUsers, testConfig } from '../support/system';
import { connectTemporal } from '../support/worker';

/** The methods that do the steps' work, in their order. */
const STEPS = [
  'isHeld',
  'find',
  'destroyKeys',
  'messages',
  'inbox',
  'receipts',
  'groups',
  'exports',
  'redis',
  'verify',
];
const SENT = 300;

test('a job whose worker is killed at each of its steps ends as if it had not been', async () => {
  const users = await startUsers(0);
  const db = await openDatabase();
  const temporal = await connectTemporal(testConfig());
  const folder = mkdtempSync(join(tmpdir(), 'im-erasure-'));
  const taskQueue = unique('queue');
  const env = {
    ...encryptionOn(),
    USER_SERVICE_ADDRESS: users.grpcAddress,
    IM_TEMPORAL_TASK_QUEUE: taskQueue,
    IM_WORKER_HTTP_PORT: String(await freePort()),
  };
  const worker = new ProductProcess('worker', Number(env.IM_WORKER_HTTP_PORT), env);
  try {
    const [killed, untouched] = [await populate(db), await populate(db)];
    const handles = await Promise.all(
      [killed, untouched].map(({ alice }, i) =>
        start(db, temporal, alice, i === 0 ? taskQueue : `${taskQueue}-2`),
      ),
    );
    for (const step of STEPS) await runUntilKilledIn(step, folder, env);
    await worker.start();
    const proof = (await handles[0]!.result()) as GdprProof;
    await worker.end('SIGTERM');
    const calm = new ProductProcess('worker', Number(env.IM_WORKER_HTTP_PORT), {
      ...env,
      IM_TEMPORAL_TASK_QUEUE: `${taskQueue}-2`,
    });
    await calm.start();
    const reference = (await handles[1]!.result()) as GdprProof;
    await calm.end('SIGTERM');
    const told = ({ state, steps }: GdprProof) => ({
      state,
      // Those of Kafka are times.
      steps: steps.map(({ name, counts }) => ({
        name,
        counts: name === 'kafka' ? Object.keys(counts) : counts,
      })),
    });
    expect(told(proof)).toEqual(told(reference));
    expect(proof.state).toBe('done');
    for (const { alice, bob } of [killed, untouched]) {
      expect(Object.values(await new ErasureRows(db, Date.now).traces(alice))).toEqual([
        0, 0, 0, 0, 0,
      ]);
      expect(await new Inbox(db).pendingCount(bob)).toBe(0);
      const rows = await db.select<{ content: string }>(
        'SELECT DISTINCT content FROM messages WHERE sender_id = ?',
        [alice],
      );
      expect(rows).toEqual([{ content: '' }]);
    }
  } finally {
    await worker.end('SIGTERM');
    rmSync(folder, { recursive: true });
    await temporal.connection.close();
    await db.close();
    await users.stop();
  }
}, 400_000);

async function populate(db: Database): Promise<{ alice: string; bob: string }> {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const { keys } = await openEncryption(db, encryptionOn());
  await keys.current(alice);
  const store = new MessageStore(db, { ttlMs: 600_000 });
  await store.storeOffline(
    Array.from({ length: SENT }, (_, i) =>
      offline({ senderId: alice, recipientId: bob, sequenceNumber: i + 1 }),
    ),
  );
  const toAlice = delivered({ senderId: bob, recipientId: alice });
  await store.storeDelivered([toAlice]);
  await store.storeOffline([offline({ senderId: bob, recipientId: alice })]);
  await new ReadReceipts(db, Date.now).recordAll([
    { ...toAlice.message, readerId: alice, deviceId: '', readAt: 1 },
  ]);
  await db.execute('INSERT INTO group_reads VALUES (?, ?, 1)', [alice, unique('group')]);
  return { alice, bob };
}

async function start(db: Database, temporal: Client, alice: string, taskQueue: string) {
  const { job } = await new GdprJobs(db, Date.now).request({
    kind: 'erase',
    userId: alice,
    requestedBy: 'officer',
    requestedRole: 'compliance',
    name: `gdpr-erase/${alice}`,
    workflowId: () => `gdpr-erase/${alice}`,
    input: { userId: alice },
    audit: { action: 'user.erase', subjectKind: 'user', subjectId: alice },
  });
  return temporal.workflow.start('gdprEraseUser', {
    workflowId: job.workflowId,
    taskQueue,
    args: [job.input],
  });
}

/** Runs a worker that is killed, by itself and for real, when the work of a step is done but not told. */
async function runUntilKilledIn(
  step: string,
  folder: string,
  env: Record<string, string>,
): Promise<void> {
  const code = `
    const { EraseUser } = require(${JSON.stringify(join(projectRoot(), 'dist/src/routing/erase-user'))});
    const work = EraseUser.prototype.${step};
    EraseUser.prototype.${step} = async function (...args) {
      await work.apply(this, args);
      process.kill(process.pid, 'SIGKILL');
    };`;
  const file = join(folder, `${step}.js`);
  writeFileSync(file, code);
  const child = spawn(
    process.execPath,
    ['--require', file, join(projectRoot(), 'dist', 'src', 'worker.js')],
    { env: { ...process.env, LOG_LEVEL: 'error', ...env }, stdio: 'inherit' },
  );
  const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
  expect([step, signal]).toEqual([step, 'SIGKILL']);
}
