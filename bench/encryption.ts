/**
 * What encryption costs a message on its way: CPU of the process for each routed message, with
 * encryption on over off, in turns in one run. The route call is measured without gRPC, which would
 * make the share look smaller.
 * Run with a stack up: `npx tsc -p tsconfig.build.json && node dist/bench/encryption.js`.
 */
import { randomUUID } from 'node:crypto';
import { pino } from 'pino';
import { DevUserService } from '../dev/user-service/user-service';
import { LocalKeys } from '../src/activities/encryption/local-keys';
import { ensureTopics, topicSpecs } from '../src/activities/kafka/topics';
import { loadConfig } from '../src/config';
import { createPrivateRouter, createReservations, openParts } from '../src/parts';
import type { Parts } from '../src/parts';
import type { PrivateRouter } from '../src/routing/private-message';

const SIZES = [100, 1_000, 10_000];
const MESSAGES_A_ROUND = 2_000;
const ROUNDS = 7;
/** Calls at once, as a gateway would have them. */
const CONCURRENCY = 64;
const USERS = 100;

type Router = Pick<PrivateRouter, 'route'>;

/** Routes so many messages to users who are away; resolves with µs of CPU for each. */
async function round(router: Router, content: string, run: string): Promise<number> {
  let left = MESSAGES_A_ROUND;
  const before = process.cpuUsage();
  const lane = async (): Promise<void> => {
    while (left-- > 0) {
      const answer = await router.route({
        msg_id: randomUUID(),
        sender_id: `sender-${run}-${left % USERS}`,
        recipient_id: `recipient-${run}-${left % USERS}`,
        content,
        timestamp: Date.now(),
        metadata: {},
      });
      if (!answer.success || answer.code !== undefined) throw new Error(JSON.stringify(answer));
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  const { user, system } = process.cpuUsage(before);
  return (user + system) / MESSAGES_A_ROUND;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

async function measure(off: Router, on: Router, size: number): Promise<void> {
  const content = 'x'.repeat(size);
  // The same users all along: their keys are made in the first round, which does not count.
  const run = randomUUID().slice(0, 8);
  const costs = { off: [] as number[], on: [] as number[] };
  for (let i = -1; i < ROUNDS; i++) {
    // The order changes too, so that neither always runs on a warmer machine.
    const turns = i % 2 === 0 ? (['off', 'on'] as const) : (['on', 'off'] as const);
    for (const turn of turns) {
      const cost = await round(turn === 'on' ? on : off, content, `${turn}-${run}`);
      if (i >= 0) costs[turn].push(cost);
    }
  }
  const ratio = median(costs.on.map((cost, i) => cost / (costs.off[i] ?? 1)));
  console.log(
    `${String(size).padStart(6)} B: off ${median(costs.off).toFixed(0)} µs, ` +
      `on ${median(costs.on).toFixed(0)} µs of CPU a message, ratio ${ratio.toFixed(3)}`,
  );
}

const routerOf = (parts: Parts): PrivateRouter =>
  createPrivateRouter(parts, createReservations(parts));

async function main(): Promise<void> {
  const users = new DevUserService(
    { grpcPort: 0, httpPort: 0, kafkaBrokers: [] },
    pino({ level: 'silent' }),
  );
  await users.start();
  const common = {
    ...process.env,
    LOG_LEVEL: 'warn',
    USER_SERVICE_ADDRESS: users.grpcAddress,
    IM_KAFKA_DEADLINE_MS: '10000',
    IM_MASTER_KEYS: LocalKeys.generate('bench'),
  };
  const off = await openParts(loadConfig({ ...common, ENCRYPTION: 'off' }), 'off');
  const on = await openParts(loadConfig({ ...common, ENCRYPTION: 'on' }), 'on');
  await ensureTopics(off.kafka, topicSpecs(off.config), {
    replication: 1,
    deadlineMs: 30_000,
    log: off.log,
  });
  await Promise.all([off.redis.whenReady(), on.redis.whenReady()]);
  try {
    for (const size of SIZES) {
      await measure(routerOf(off), routerOf(on), size);
    }
  } finally {
    await off.close();
    await on.close();
    await users.stop();
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
