/**
 * Each server taken away for 20 s under load and given back: nothing answered with success is lost,
 * no process ends, `/ready` names the server, and service resumes by itself.
 */
import { sleep } from '../../src/activities/sleep';
import type { Database } from '../../src/activities/mysql/database';
import type { RunningWorker } from '../../src/worker';
import type { ServerName } from '../../dev/stack/environment';
import { unique } from '../support/ids';
import { Load } from '../support/load';
import { openDatabase } from '../support/mysql';
import { RestClient } from '../support/rest-client';
import { without } from '../support/stack';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker } from '../support/worker';

/** How long each server is away, s. */
const OUTAGE_S = Number(process.env['TEST_OUTAGE_S'] ?? 20);
/** Messages a second; enough to be in every step at the moment of the fault. */
const RATE = 40;

let system: TestSystem;
let worker: RunningWorker;
let db: Database;

beforeAll(async () => {
  system = await startSystem();
  worker = await startTestWorker(system.config);
  db = await openDatabase();
}, 120_000);
afterAll(async () => {
  await worker.close();
  await system.close();
  await db.close();
}, 60_000);

async function readiness(): Promise<{ status: number; dependencies: Record<string, string> }> {
  const response = await system.http('/ready');
  const body = (await response.json()) as { dependencies: Record<string, string> };
  return { status: response.status, dependencies: body.dependencies };
}

async function underLoad(work: (load: Load) => Promise<void>): Promise<void> {
  const load = new Load(system.send, system.gateway);
  await load.start(RATE);
  await load.wellAgain(RATE, 60_000);
  await work(load);
  // By itself: nobody restarts the server or the worker.
  await load.wellAgain(2 * RATE, 60_000);
  await load.stop();
  expect(await load.lost(db, 60_000)).toEqual([]);
  await waitFor('/ready', 60_000, async () => (await readiness()).status === 200);
}

const named: Record<ServerName, string> = {
  kafka: 'kafka',
  mysql: 'mysql',
  redis: 'redis',
  etcd: 'etcd',
  temporal: 'temporal',
};

test.each(Object.keys(named) as ServerName[])(
  `%s away for ${OUTAGE_S} s under load: nothing is lost and all goes on by itself`,
  async (name) => {
    await underLoad(async () => {
      await without(name, async () => {
        await sleep(2_000);
        const { status, dependencies } = await readiness();
        expect(status).toBe(503);
        expect(dependencies[named[name]]).toBe('unhealthy');
        await sleep(OUTAGE_S * 1_000 - 2_000);
      });
    });
  },
  240_000,
);

test(`the user service away for ${OUTAGE_S} s under load: known users go on`, async () => {
  await underLoad(async (load) => {
    const before = load.answered.length;
    await system.users.stop();
    await sleep(OUTAGE_S * 1_000);
    expect((await readiness()).dependencies['user_service']).toBe('unhealthy');
    const stranger = await system.send(unique('alice'), unique('bob'));
    expect(stranger).toMatchObject({ success: false, code: 'SERVICE_UNAVAILABLE' });
    const meanwhile = load.answered.slice(before).map(({ answer }) => answer.success);
    expect(meanwhile).not.toContain(false);
    await system.restartUsers();
  });
}, 240_000);

test('MySQL away: a new conversation has no number, an unknown id no status', async () => {
  await without('mysql', async () => {
    const answer = await system.send(unique('alice'), unique('bob'));
    expect(answer).toMatchObject({ success: false, status: 'failed', code: 'SEQUENCE_ERROR' });
    await expect(system.client.status(unique('msg'))).rejects.toMatchObject({
      details: expect.stringMatching(/^RETRIEVAL_ERROR: /) as string,
    });
  });
}, 60_000);

test('Kafka and MySQL away: the message is refused, and a retry keeps its number', async () => {
  const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
  const first = await system.send(alice, bob);
  await without('mysql', () =>
    without('kafka', async () => {
      const refused = await system.send(alice, bob, 'kept for later', msgId);
      expect(refused).toMatchObject({ success: false, status: 'failed', code: 'KAFKA_ERROR' });
      expect(refused.sequence_number).toBe(first.sequence_number + 1);
      expect(await system.client.status(msgId)).toMatchObject({ status: 'failed' });
    }),
  );
  await waitFor('the retry to succeed', 30_000, async () => {
    const again = await system.send(alice, bob, 'kept for later', msgId);
    expect(again.sequence_number).toBe(first.sequence_number + 1);
    return again.success;
  });
}, 120_000);

test('Redis lost between the number and the answer: kept all the same, STORAGE_ERROR says so', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  await system.gateway.connect(bob, 'phone');
  await waitFor('bob to be online', 10_000, async () => {
    return (await system.send(alice, bob)).status === 'delivered';
  });
  const { calls } = system.gateway;
  system.gateway.mood = 'silent';
  try {
    // The push takes its whole deadline: time enough to take Redis away.
    const sending = system.send(alice, bob);
    await waitFor('the push', 10_000, () => Promise.resolve(system.gateway.calls > calls));
    await without('redis', async () => {
      const answer = await sending;
      expect(answer).toMatchObject({ success: true, status: 'offline', code: 'STORAGE_ERROR' });
    });
  } finally {
    system.gateway.mood = 'well';
  }
}, 60_000);

test('Redis away: REST answers, and limits nobody until it is back', async () => {
  const limited = await startSystem({ IM_RATE_LIMIT_USER: '3' });
  const rest = new RestClient(`http://127.0.0.1:${limited.server.httpPort}`);
  const user = unique('user');
  const statuses = async (count: number) => {
    const found: number[] = [];
    for (let i = 0; i < count; i++) {
      found.push((await rest.get(user, '/api/v1/offline/count')).status);
    }
    return found;
  };
  try {
    expect(await statuses(4)).toEqual([200, 200, 200, 429]);
    await without('redis', async () => {
      expect(await statuses(6)).toEqual([200, 200, 200, 200, 200, 200]);
      const metrics = await (await limited.http('/metrics')).text();
      expect(metrics).toMatch(/rate_limit_skipped_total [1-9]/);
    });
    await waitFor('limits to hold again', 20_000, async () => (await statuses(4)).includes(429));
  } finally {
    await limited.close();
  }
}, 90_000);
