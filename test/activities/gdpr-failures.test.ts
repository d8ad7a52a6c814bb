/** What the steps of requests about personal data tell of what goes wrong, by the errors of real servers. */
import { ApplicationFailure } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { Redis } from 'ioredis';
import { ConsumersBehindError } from '../../src/activities/kafka/consumer-progress';
import { Database } from '../../src/activities/mysql/database';
import { loadConfig } from '../../src/config';
import { STEP_FAILS, SYSTEM_AWAY } from '../../src/domain/gdpr';
import type { GdprSystem } from '../../src/domain/gdpr';
import { createLogger } from '../../src/logger';
import type { ExportWriter } from '../../src/routing/write-export';
import { createExportActivities } from '../../src/temporal/export-activities';
import { inSystem } from '../../src/temporal/gdpr-activities';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { freePort } from '../support/processes';

const log = createLogger('silent', 'test');

describe('a step that goes wrong', () => {
  let db: Database;
  let noDatabase: Database;
  let redis: Redis;

  beforeAll(async () => {
    db = await openDatabase();
    const url = `mysql://im:im@127.0.0.1:${await freePort()}/im`;
    noDatabase = Database.open({ url, connections: 1, deadlineMs: 1_000 });
    redis = new Redis(loadConfig(process.env).REDIS_URL);
  });
  afterAll(async () => {
    redis.disconnect();
    await noDatabase.close();
    await db.close();
  });

  /** What Temporal hears of it. */
  async function told(work: () => Promise<unknown>): Promise<{ type: unknown; detail: unknown }> {
    try {
      await new MockActivityEnvironment({}, { logger: new DefaultLogger('ERROR') }).run(work);
    } catch (error) {
      if (!(error instanceof ApplicationFailure)) throw error;
      expect(error.nonRetryable).toBe(false);
      return { type: error.type, detail: error.details?.[0] };
    }
    throw new Error('it did not fail');
  }
  const inStep = (system: GdprSystem, work: () => Promise<unknown>) =>
    told(() => inSystem(system, log, work));

  test('says that a server is away when it cannot be reached, or nothing is known of the error', async () => {
    const away = { type: SYSTEM_AWAY, detail: { system: 'mysql' } };
    expect(await inStep('mysql', () => noDatabase.ping())).toEqual(away);
    expect(await inStep('mysql', () => Promise.reject(new Error('of a driver')))).toEqual(away);
    const noRedis = new Redis(await freePort(), '127.0.0.1', {
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    });
    noRedis.on('error', () => undefined);
    expect(await inStep('redis', () => noRedis.ping())).toEqual({
      type: SYSTEM_AWAY,
      detail: { system: 'redis' },
    });
  });

  test('waits for who holds a row as for a server: that passes by itself', async () => {
    const name = unique('list');
    const holder = db.transaction(async (tx) => {
      await tx.execute("INSERT INTO word_lists (name, action, words) VALUES (?, 'audit', '')", [
        name,
      ]);
      const other = await inStep('mysql', () =>
        db.execute("INSERT INTO word_lists (name, action, words) VALUES (?, 'audit', '')", [name]),
      );
      expect(other).toEqual({ type: SYSTEM_AWAY, detail: { system: 'mysql' } });
      throw new Error('not to be kept');
    });
    await expect(holder).rejects.toThrow('not to be kept');
  });

  test('says with what when the server has answered, and nothing that stands in the statement', async () => {
    const key = unique('rate:key');
    await redis.set(key, 'text', 'EX', 60);
    expect(await inStep('redis', () => redis.hgetall(key))).toEqual({
      type: STEP_FAILS,
      detail: { system: 'redis', problem: 'WRONGTYPE' },
    });
    expect(await inStep('mysql', () => db.select("SELECT 'secret' FROM no_such_table"))).toEqual({
      type: STEP_FAILS,
      detail: { system: 'mysql', problem: 'ER_NO_SUCH_TABLE' },
    });
  });

  test('says that the fault is ours when it is', async () => {
    const ours = () => Promise.reject(new TypeError('undefined is not a function'));
    expect(await inStep('kafka', ours)).toEqual({
      type: STEP_FAILS,
      detail: { system: 'kafka', problem: 'TypeError' },
    });
  });

  test('names MySQL when consumers are behind because that is away', async () => {
    const behind = { caughtUp: () => Promise.reject(new ConsumersBehindError(['offline_msg'])) };
    const system = async (database: Database): Promise<unknown> => {
      const { exportCatchUp } = createExportActivities({
        progress: behind,
        database,
        // Not of this step.
        writer: {} as ExportWriter,
        log,
      });
      return (await told(() => exportCatchUp({ jobId: 'job-1', userId: 'alice' }))).detail;
    };
    expect(await system(noDatabase)).toEqual({ system: 'mysql' });
    expect(await system(db)).toEqual({ system: 'kafka' });
  });
});
