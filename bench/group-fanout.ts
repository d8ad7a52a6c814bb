/**
 * What group messages cost: from publish to the last inbox row in a group of 5,000 of whom half are
 * away; and a message to 100,000 members against one to 3,000, in one run. `npm run bench -- group-fanout`,
 * with `rows` or `large` for one of the two alone.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Database } from '../src/activities/mysql/database';
import { people, rowsOf, stored, TestGroup } from '../test/support/groups';
import { ImClient } from '../test/support/im-client';
import { waitFor } from '../test/support/wait';
import { startBenchSystem } from './harness/system';
import type { BenchSystem } from './harness/system';
import { mean } from './harness/trend';

const FANOUT_MEMBERS = 5_000;
const FANOUT_MESSAGES = 20;
const LARGE = 100_000;
const SMALLER = 3_000;
/** Sends to each of the two groups, in alternation. */
const SENDS = 1_000;
/** Messages that the worker is measured by. */
const STORED = 1_000;
const AT_ONCE = 20;

/** How often the worker's memory is looked at, ms. */
const LOOK_EVERY_MS = 200;

async function main(): Promise<void> {
  const [only] = process.argv.slice(2);
  if (only !== 'large') await withSystem({ GROUP_FANOUT_MAX: '10000' }, rows);
  if (only !== 'rows') await withSystem({}, large);
}

type Run = (system: BenchSystem, client: ImClient, db: Database) => Promise<void>;

async function withSystem(env: Record<string, string>, run: Run): Promise<void> {
  const system = await startBenchSystem(env);
  const client = new ImClient(system.grpcPort);
  const url = system.stack.environment.MYSQL_URL;
  const db = Database.open({ url, connections: 2, deadlineMs: 10_000 });
  try {
    await run(system, client, db);
  } finally {
    await db.close();
    client.close();
    await system.close();
  }
}

/** A row for each absent member. */
async function rows(system: BenchSystem, client: ImClient, db: Database): Promise<void> {
  const members = people(FANOUT_MEMBERS);
  const group = await TestGroup.make({ users: system.users, client }, members);
  const present = members.slice(0, FANOUT_MEMBERS / 2);
  for (let i = 0; i < present.length; i += 500) {
    await Promise.all(present.slice(i, i + 500).map((user) => system.gateway.connect(user, 'd')));
  }
  const absent = FANOUT_MEMBERS - present.length;
  const timed = async (count: number): Promise<number> => {
    const began = performance.now();
    const ids = await group.sendMany(present[0] as string, count);
    const last = ids.at(-1) as string;
    await waitFor('the last row', 120_000, async () => (await rowsOf(db, last)).length >= absent);
    return performance.now() - began;
  };
  console.log(`${FANOUT_MEMBERS} members, ${absent} away:`);
  console.log(`  first message (nothing known yet): last row after ${ms(await timed(1))}`);
  console.log(`  next message: last row after ${ms(await timed(1))}`);
  const before = await gauge(system, RESIDENT);
  const peak = watchPeak(system);
  const elapsed = await timed(FANOUT_MESSAGES);
  const perSecond = (FANOUT_MESSAGES * absent * 1_000) / elapsed;
  console.log(`  ${FANOUT_MESSAGES} messages: ${ms(elapsed)}, ${perSecond.toFixed(0)} rows/s`);
  console.log(
    `  memory of the worker: ${mb(before)} before, ${mb(await peak.end())} at its highest`,
  );
}

const RESIDENT = 'process_resident_memory_bytes';

/** The highest memory of the worker until it is ended. */
function watchPeak(system: BenchSystem): { end(): Promise<number> } {
  let highest = 0;
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      highest = Math.max(highest, await gauge(system, RESIDENT));
      await sleep(LOOK_EVERY_MS);
    }
  })();
  return {
    end: async () => {
      isOver = true;
      await watching;
      return highest;
    },
  };
}

/** A position for each member. */
async function large(system: BenchSystem, client: ImClient, db: Database): Promise<void> {
  const peak = watchPeak(system);
  const groups = new Map<number, { group: TestGroup; sender: string; member: string }>();
  for (const size of [SMALLER, LARGE]) {
    const members = people(size);
    const group = await TestGroup.make({ users: system.users, client }, members);
    groups.set(size, { group, sender: members[0] as string, member: members[7] as string });
    // The development user service is busy for a while with the news of so many joins.
    await waitFor('the group to be known', 60_000, async () => {
      return (await group.send(members[0] as string)).success;
    });
    const began = performance.now();
    await stored(db, await group.sendMany(members[0] as string, 1), 120_000);
    console.log(`${size} members: first message kept after ${ms(performance.now() - began)}`);
  }
  // Two above.
  let sentToLarge = 2;
  const latencies = new Map([...groups.keys()].map((size) => [size, [] as number[]]));
  for (let i = 0; i < SENDS; i++) {
    for (const [size, { group, sender }] of groups) {
      const began = performance.now();
      if ((await group.send(sender)).success && size === LARGE) sentToLarge += 1;
      latencies.get(size)?.push(performance.now() - began);
    }
  }
  const cost = new Map<number, number>();
  for (const [size, { group, sender }] of groups) {
    cost.set(size, await workerCpu(system, db, group, sender));
  }
  for (const size of groups.keys()) {
    const times = (latencies.get(size) ?? []).sort((a, b) => a - b);
    const average = mean(times);
    const p50 = times[times.length >> 1] ?? 0;
    console.log(
      `${size} members: send mean ${ms(average)}, p50 ${ms(p50)}; ` +
        `worker ${(cost.get(size) ?? 0).toFixed(2)} ms of CPU a message`,
    );
    latencies.set(size, [average]);
  }
  const ratio = (of: (size: number) => number): string => (of(LARGE) / of(SMALLER)).toFixed(2);
  console.log(
    `${LARGE} against ${SMALLER}: send ${ratio((size) => latencies.get(size)?.[0] ?? 0)}, ` +
      `worker CPU ${ratio((size) => cost.get(size) ?? 0)}`,
  );
  console.log(`memory of the worker: ${mb(await peak.end())} at its highest`);
  await comesBack(system, groups.get(LARGE)?.member ?? '', sentToLarge + STORED);
}

/** A member who was away all the time gets every message, and each once. */
async function comesBack(system: BenchSystem, userId: string, missed: number): Promise<void> {
  const began = performance.now();
  await system.gateway.connect(userId, 'd');
  const pushes = await system.gateway.received(userId, missed, 120_000);
  const elapsed = performance.now() - began;
  const distinct = new Set(pushes.map((push) => push.msg_id)).size;
  console.log(
    `a member of ${LARGE} comes back: ${distinct} of ${missed} messages, ` +
      `${pushes.length - distinct} twice, in ${ms(elapsed)}`,
  );
}

/** Ms of the worker's CPU for each of many messages, until they are kept. */
async function workerCpu(
  system: BenchSystem,
  db: Database,
  group: TestGroup,
  sender: string,
): Promise<number> {
  const before = await gauge(system, 'process_cpu_seconds_total');
  const ids: string[] = [];
  for (let i = 0; i < STORED; i += AT_ONCE) {
    const some = Array.from({ length: AT_ONCE }, () => group.sendMany(sender, 1));
    ids.push(...(await Promise.all(some)).flat());
  }
  await stored(db, ids, 120_000);
  return ((await gauge(system, 'process_cpu_seconds_total')) - before) * (1_000 / STORED);
}

async function gauge({ workerHttpPort }: BenchSystem, name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${workerHttpPort}/metrics`);
  const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.split(' ')[1]);
}

function ms(value: number): string {
  return `${value.toFixed(value < 10 ? 2 : 0)} ms`;
}

function mb(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MB`;
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
