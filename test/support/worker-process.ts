/** A server in this process beside a worker in one of its own, and every way to look at what they do. */
import { Redis } from 'ioredis';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { unique } from './ids';
import { openDatabase } from './mysql';
import { freePort, ProductProcess } from './processes';
import { RestClient } from './rest-client';
import { startSystem } from './system';
import type { TestSystem } from './system';
import { connectTemporal } from './worker';

export interface SystemWithWorker {
  readonly system: TestSystem;
  /** May be killed. */
  readonly worker: ProductProcess;
  readonly db: Database;
  readonly redis: Redis;
  readonly rest: RestClient;
  readonly temporal: Client;
  close(): Promise<void>;
}

/** Resolves when both are ready; they share nothing with those of other tests. */
export async function startWithWorker(changes: Record<string, string>): Promise<SystemWithWorker> {
  const workerHttp = await freePort();
  const env = {
    IM_KAFKA_CLIENT_ID: unique('im'),
    IM_TEMPORAL_TASK_QUEUE: unique('queue'),
    IM_WORKER_HTTP_PORT: String(workerHttp),
    ...changes,
  };
  const system = await startSystem(env);
  const worker = new ProductProcess('worker', workerHttp, {
    ...env,
    USER_SERVICE_ADDRESS: system.config.USER_SERVICE_ADDRESS,
  });
  await worker.start();
  const db = await openDatabase();
  const redis = new Redis(system.config.REDIS_URL);
  redis.on('error', () => undefined);
  const rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  const temporal = await connectTemporal(system.config);
  const close = async (): Promise<void> => {
    await worker.end('SIGTERM');
    await temporal.connection.close();
    redis.disconnect();
    await db.close();
    await system.close();
  };
  return { system, worker, db, redis, rest, temporal, close };
}
