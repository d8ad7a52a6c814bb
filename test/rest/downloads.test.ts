/** Downloads of exports that go slowly, stop, break off, or come too many at once. */
import { once } from 'node:events';
import { request } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../src/activities/mysql/database';
import { GdprJobs } from '../../src/activities/mysql/gdpr-jobs';
import { exportParts, writeBundle } from '../support/exports';
import type { ExportParts } from '../support/exports';
import { unique } from '../support/ids';
import { fillMessages } from '../support/many-messages';
import { openDatabase } from '../support/mysql';
import { tokenFor } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

/** Text of 12 MB: far more than what sockets and streams hold on its way. */
const MESSAGES = 20_000;
const STALL_MS = 1_500;

describe('a download of an export', () => {
  let system: TestSystem;
  /** Lets go of who reads nothing, soon. */
  let impatient: TestSystem;
  let db: Database;
  let parts: ExportParts;
  let alice: string;
  let path: string;
  let jobId: string;
  const opened: ClientRequest[] = [];

  beforeAll(async () => {
    system = await startSystem({ IM_RATE_LIMIT_ADDRESS: '0' });
    impatient = await startSystem({ IM_HTTP_STALL_MS: String(STALL_MS) });
    db = await openDatabase();
    parts = await exportParts(db);
    alice = unique('alice');
    await fillMessages(db, alice, { sent: MESSAGES, received: 0 });
    jobId = await exported();
    path = `/api/v1/gdpr/jobs/${jobId}/bundle`;
  }, 60_000);
  afterEach(() => {
    for (const one of opened.splice(0)) one.destroy();
  });
  afterAll(async () => {
    await db.close();
    await impatient.close();
    await system.close();
  });

  /** A finished export of alice's: its job and its bundle. */
  async function exported(): Promise<string> {
    const jobs = new GdprJobs(db, Date.now);
    const { job } = await jobs.request({
      kind: 'export',
      userId: alice,
      requestedBy: alice,
      requestedRole: 'own',
      name: `gdpr-export/${alice}`,
      workflowId: (id) => `gdpr-export/${alice}/${id}`,
      input: { userId: alice },
      audit: { action: 'user.export', subjectKind: 'user', subjectId: alice },
    });
    await jobs.finish({ jobId: job.jobId, state: 'done', steps: [], expires: [] });
    return writeBundle(parts, alice, job.jobId);
  }

  /** The answer's head; of its body nothing is read yet. */
  async function open(caller = alice, { server } = system): Promise<IncomingMessage> {
    const scope = caller === alice ? {} : { scope: 'im:compliance' };
    const headers = { authorization: `Bearer ${await tokenFor(caller, scope)}` };
    const asked = request({ port: server.httpPort, path, headers, agent: false });
    opened.push(asked);
    asked.on('error', () => undefined);
    asked.end();
    const [answer] = (await once(asked, 'response')) as [IncomingMessage];
    return answer;
  }

  async function textOf(answer: IncomingMessage): Promise<string> {
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString();
  }

  test('comes whole to a client that reads slowly, longer than one may read nothing', async () => {
    const answer = await open(alice, impatient);
    const pieces: Buffer[] = [];
    const began = Date.now();
    for await (const piece of answer) {
      pieces.push(piece as Buffer);
      if (Date.now() - began < 3 * STALL_MS) await sleep(20);
    }
    const { total_messages, messages } = JSON.parse(Buffer.concat(pieces).toString()) as {
      total_messages: number;
      messages: object[];
    };
    expect([total_messages, messages.length]).toEqual([MESSAGES, MESSAGES]);
  });

  test('is cut off when the client takes nothing of it for the time that is set', async () => {
    const answer = await open(alice, impatient);
    answer.on('error', () => undefined);
    const cut = new Promise((resolve) => answer.once('close', resolve));
    await sleep(3 * STALL_MS);
    answer.resume();
    await cut;
    expect(answer.complete).toBe(false);
  });

  test('is one of three at most for one caller, who makes room by breaking off, and takes none of others', async () => {
    const [first] = await Promise.all([open(), open(), open()]);
    const refused = await open();
    expect(refused.statusCode).toBe(503);
    expect(await textOf(refused)).toContain('3 downloads of yours are under way');
    expect((await open('officer')).statusCode).toBe(200);
    first?.destroy();
    await waitFor('room', 10_000, async () => (await open()).statusCode === 200);
  });

  test('is one of twenty at most for a process, and those that broke off leave nothing behind', async () => {
    const callers = Array.from({ length: 20 }, (_, i) => `officer-${i % 7}`);
    for (const caller of callers) {
      await waitFor('room', 10_000, async () => (await open(caller)).statusCode === 200);
    }
    expect((await open()).statusCode).toBe(503);
    for (const one of opened.splice(0)) one.destroy();
    for (const caller of callers) {
      await waitFor('room', 10_000, async () => (await open(caller)).statusCode === 200);
    }
  });

  test('whose bundle is removed meanwhile ends as one that is not whole', async () => {
    const answer = await open(alice, impatient);
    await parts.bundles.removeOf(alice);
    await expect(textOf(answer)).rejects.toThrow('aborted');
  });
});
