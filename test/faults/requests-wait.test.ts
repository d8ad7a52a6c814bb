/**
 * MySQL, Redis or Kafka away while a message is deleted, a user is erased and data is exported: what needs
 * the server waits for it and says so wherever people look, and ends as ever when it is back.
 */
import type { Redis } from 'ioredis';
import { createConnection } from 'mysql2/promise';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import type { GdprKind, GdprProof, GdprStatus, GdprSystem } from '../../src/domain/gdpr';
import { stored } from '../support/groups';
import { unique } from '../support/ids';
import type { ProductProcess } from '../support/processes';
import { tokenFor } from '../support/rest-client';
import type { Answer, RestClient } from '../support/rest-client';
import { without } from '../support/stack';
import type { TestSystem } from '../support/system';
import { TemporalCli } from '../support/temporal-cli';
import { tracesOf } from '../support/traces';
import { waitFor } from '../support/wait';
import { startWithWorker } from '../support/worker-process';

/** More than the pause of a workflow that waits, and a worker's start, ms. */
const PATIENCE_MS = 120_000;

interface Job {
  readonly state: string;
  readonly workflow_id: string;
  readonly steps: readonly { readonly waiting_for?: string }[];
}

let system: TestSystem;
let worker: ProductProcess;
let db: Database;
let redis: Redis;
let rest: RestClient;
let temporal: Client;
let cli: TemporalCli;
let close: () => Promise<void>;

beforeAll(async () => {
  ({ system, worker, db, redis, rest, temporal, close } = await startWithWorker({
    // Requests are answered with their job after half of it.
    IM_HTTP_DEADLINE_MS: '6000',
    IM_RATE_LIMIT_USER: '0',
    IM_RATE_LIMIT_ADDRESS: '0',
  }));
  cli = new TemporalCli(system.config);
}, 120_000);
afterAll(() => close(), 60_000);

async function asOfficer(method: string, path: string, body?: object): Promise<Answer> {
  const token = await tokenFor('officer', { scope: 'im:compliance' });
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return rest.send(method, path, headers, body && JSON.stringify(body));
}

/** A message to be deleted, and two users who sent one each: one to be erased, one to be exported. */
class Requests {
  readonly doomed = unique('msg');
  readonly ofErased = unique('msg');
  readonly content = unique('content');
  readonly reader = unique('reader');
  readonly erased = unique('erased');
  readonly exported = unique('exported');
  private readonly jobs = new Map<GdprKind, string>();

  static async prepare(): Promise<Requests> {
    const requests = new Requests();
    const { doomed, ofErased, content, reader, erased, exported } = requests;
    const ofExported = unique('msg');
    await system.send(unique('sender'), reader, content, doomed);
    await system.send(erased, unique('bob'), content, ofErased);
    await system.send(exported, unique('bob'), content, ofExported);
    await stored(db, [doomed, ofErased, ofExported], PATIENCE_MS);
    return requests;
  }

  /** Asks; resolves when the request is under way. */
  async begin(kind: GdprKind): Promise<void> {
    let answer = await this.ask(kind);
    // As clients do: 503 says "try again", and asking twice begins nothing twice.
    while (answer.status === 503) answer = await this.ask(kind);
    expect([kind, answer.status]).toEqual([kind, 202]);
    this.jobs.set(kind, answer.headers.get('location') ?? '');
  }

  async beginAll(): Promise<void> {
    await Promise.all((['delete', 'erase', 'export'] as const).map((kind) => this.begin(kind)));
  }

  /** Asked for again, by whomever, while it is under way: the same job. */
  async askAgain(): Promise<void> {
    const again = async ([kind, job]: [GdprKind, string]): Promise<void> => {
      const answer = await this.ask(kind);
      expect([kind, answer.status, answer.headers.get('location')]).toEqual([kind, 202, job]);
    };
    await Promise.all([...this.jobs].map(again));
  }

  ask(kind: GdprKind): Promise<Answer> {
    switch (kind) {
      case 'delete':
        return asOfficer('DELETE', `/api/v1/messages/${this.doomed}`);
      case 'erase':
        return asOfficer('POST', '/api/v1/gdpr/erasure', { user_id: this.erased });
      case 'export':
        return asOfficer('GET', `/api/v1/export?user_id=${this.exported}`);
    }
  }

  async job(kind: GdprKind): Promise<Job> {
    return (await asOfficer('GET', this.jobs.get(kind) ?? '')).body as unknown as Job;
  }

  /** Where the request is, as far as a worker answers. */
  async status(kind: GdprKind): Promise<GdprStatus | undefined> {
    try {
      return await temporal.workflow
        .getHandle(this.workflowId(kind))
        .query<GdprStatus, []>('status');
    } catch {
      // Not started, or no worker answers yet; those who wait for it have a deadline.
      return undefined;
    }
  }

  /** Resolves when everything under way waits for the server, and says so in `status` and details. */
  async wait(server: GdprSystem): Promise<void> {
    await Promise.all(
      [...this.jobs.keys()].map(async (kind) => {
        await waitFor(`the ${kind} to wait for ${server}`, PATIENCE_MS, async () => {
          return (await this.status(kind))?.waitingFor === server;
        });
        const shown = await cli.shell('temporal workflow metadata --workflow-id "$ID"', {
          ID: this.workflowId(kind),
        });
        expect(shown).toContain(`waits for ${server}`);
      }),
    );
  }

  /** Their jobs say so too, as long as there is a MySQL to ask. */
  async sayOverRest(server: GdprSystem): Promise<void> {
    for (const kind of this.jobs.keys()) {
      await waitFor(`the job of the ${kind} to say so`, PATIENCE_MS, async () => {
        return (await this.job(kind)).steps.some((step) => step.waiting_for === server);
      });
    }
  }

  /** Whoever the message waited for neither sees nor counts it. */
  async isUnseen(): Promise<void> {
    const { body } = await rest.get(this.reader, '/api/v1/offline');
    expect(body).toMatchObject({ messages: [], total_count: 0 });
    expect((await rest.get(this.reader, '/api/v1/offline/count')).body.count).toBe(0);
  }

  /** Everything ends as it always does. */
  async end(): Promise<void> {
    for (const kind of this.jobs.keys()) {
      await waitFor(`the ${kind} to be done`, PATIENCE_MS, async () => {
        return (await this.job(kind)).state === 'done';
      });
      const handle = temporal.workflow.getHandle(this.workflowId(kind));
      expect(((await handle.result()) as GdprProof).state).toBe('done');
    }
    if (this.jobs.has('delete')) expect(await tracesOf(db, redis, [this.doomed])).toEqual([]);
    if (this.jobs.has('erase')) {
      const left = await new ErasureRows(db, Date.now).traces(this.erased);
      expect(new Set(Object.values(left))).toEqual(new Set([0]));
    }
    if (this.jobs.has('export')) {
      const bundle = await asOfficer('GET', `${this.jobs.get('export')}/bundle`);
      expect(bundle.body.messages.map(({ content }) => content)).toEqual([this.content]);
    }
  }

  private workflowId(kind: GdprKind): string {
    if (kind === 'delete') return `gdpr-delete/${this.doomed}`;
    if (kind === 'erase') return `gdpr-erase/${this.erased}`;
    return `gdpr-export/${this.exported}/${this.jobs.get(kind)?.split('/').at(-1)}`;
  }
}

test('Kafka away: all three wait for it, say so, and another worker ends them when it is back', async () => {
  const requests = await Requests.prepare();
  await without('kafka', async () => {
    await requests.beginAll();
    await requests.wait('kafka');
    await requests.sayOverRest('kafka');
    await requests.askAgain();
    await worker.end('SIGKILL');
  });
  await worker.start();
  await requests.end();
}, 300_000);

test('Redis away: the deletion and the erasure wait for it and say so, what is being deleted is not shown, an export needs none', async () => {
  const requests = await Requests.prepare();
  await without('redis', async () => {
    await requests.begin('delete');
    await requests.begin('erase');
    await waitFor('an export', PATIENCE_MS, async () => {
      return (await requests.ask('export')).status === 200;
    });
    await requests.wait('redis');
    await requests.isUnseen();
    await requests.sayOverRest('redis');
  });
  await requests.end();
}, 300_000);

test('MySQL away: all three wait for it, say so, and end when it is back', async () => {
  const requests = await Requests.prepare();
  // Held up in the middle, each in its own place, so that there is time to take MySQL away.
  const ids = `'${requests.doomed}', '${requests.ofErased}'`;
  await lock('START TRANSACTION', `SELECT 1 FROM messages WHERE msg_id IN (${ids}) FOR UPDATE`);
  await lock('LOCK TABLES export_devices WRITE');
  const at = (kind: GdprKind, name: string): Promise<void> =>
    waitFor(`the ${kind} to be at ${name}`, PATIENCE_MS, async () => {
      const step = (await requests.status(kind))?.steps.at(-1);
      return step?.name === name && step.state === 'running';
    });
  await requests.begin('erase');
  await at('erase', 'mysql_messages');
  await Promise.all([requests.begin('delete'), requests.begin('export')]);
  await Promise.all([at('delete', 'mysql_messages'), at('export', 'mysql:devices')]);
  await without('mysql', () => requests.wait('mysql'));
  await requests.end();
}, 300_000);

/** Holds what these statements lock, in a session of its own that ends with MySQL. */
async function lock(...statements: string[]): Promise<void> {
  const connection = await createConnection({ uri: system.config.MYSQL_URL });
  connection.on('error', () => undefined);
  // The rows alone, not the gaps between them: others' messages are stored meanwhile.
  await connection.query('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
  for (const sql of statements) await connection.query(sql);
}
