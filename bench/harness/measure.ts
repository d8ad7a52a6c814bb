/** One load on the floor or on the product: measured, and checked message by message. */
import { setTimeout as sleep } from 'node:timers/promises';
import { runLoad } from './children';
import type { LoadListeners } from './children';
import { cpuPerThousand } from './cpu';
import type { CpuReading } from './cpu';
import type { Progress } from './lag';
import { countOutcomes, OUTCOME } from './ledger';
import type { LoadResult } from './load-generator';
import type { LoadSystem } from './load-system';
import type { Checks, Phase, ProductPhase, Storage } from './report';
import { mixTable } from './traffic';
import type { LoadSpec } from './traffic';

/** What an acknowledgement may wait for to be seen in MySQL once Kafka's consumers are through, ms. */
const SETTLE_MS = 500;

interface Measured {
  readonly phase: Phase;
  readonly result: LoadResult;
  readonly seconds: number;
  readonly progress: readonly [Progress, Progress];
}

export async function measureFloor(
  on: LoadSystem,
  name: string,
  spec: Omit<LoadSpec, 'ports'>,
): Promise<Phase> {
  const { phase } = await measure(on, name, { ...spec, ports: [on.floor.port] });
  return phase;
}

/** `expected`: the outcome that each kind of the mix should have. */
export async function measureProduct(
  on: LoadSystem,
  name: string,
  spec: Omit<LoadSpec, 'ports'>,
  expected: readonly number[],
  listeners: Pick<LoadListeners, 'onInterval'> = {},
): Promise<ProductPhase> {
  const measured = await measure(on, name, { ...spec, ports: [on.system.grpcPort] }, listeners);
  const ended = performance.now();
  await on.lag.drained();
  const drainS = round((performance.now() - ended) / 1_000, 1);
  await sleep(SETTLE_MS);
  const { outcomes, codes, resends } = measured.result;
  return {
    ...measured.phase,
    outcomes: countOutcomes(outcomes),
    codes,
    resends,
    storage: { ...storageOf(measured), drainS },
    checks: await check(on, spec, measured.result, expected),
  };
}

async function measure(
  on: LoadSystem,
  name: string,
  spec: LoadSpec,
  listeners: Pick<LoadListeners, 'onInterval'> = {},
): Promise<Measured> {
  const readings: CpuReading[] = [];
  const progress: Promise<Progress>[] = [];
  let generator: Record<string, number[]> = {};
  let window = { answered: 0, seconds: 1 };
  const read = (): void => {
    readings.push(on.meter.read(generator));
    progress.push(on.lag.read());
  };
  const result = await runLoad(spec, {
    ...listeners,
    onMeasuring: (pid) => {
      generator = { generator: [pid] };
      read();
    },
    onMeasured: (note) => {
      window = note;
      read();
    },
  });
  const [before = {}, after = {}] = readings;
  const { loop } = spec;
  return {
    phase: {
      name,
      loop: loop.kind === 'closed' ? { callers: loop.callers } : { perSecond: loop.perSecond },
      perSecond: round(result.perSecond, 1),
      latency: result.latency,
      lateP99: result.lateP99,
      cpu: cpuPerThousand(before, after, window.answered),
    },
    result,
    seconds: window.seconds,
    progress: (await Promise.all(progress)) as [Progress, Progress],
  };
}

function storageOf({ progress: [before, after], seconds }: Measured): Omit<Storage, 'drainS'> {
  const total = (of: Progress, what: 'appended' | 'stored'): number =>
    Object.values(of).reduce((sum, topic) => sum + topic[what], 0);
  const perSecond = (what: 'appended' | 'stored'): number =>
    round((total(after, what) - total(before, what)) / seconds, 1);
  return {
    appendedPerSecond: perSecond('appended'),
    storedPerSecond: perSecond('stored'),
    lagBefore: total(before, 'appended') - total(before, 'stored'),
    lagAfter: total(after, 'appended') - total(after, 'stored'),
  };
}

async function check(
  { gateways, db }: LoadSystem,
  spec: Omit<LoadSpec, 'ports'>,
  { outcomes, resends }: LoadResult,
  expected: readonly number[],
): Promise<Checks> {
  const pushes = await gateways.pushes(spec.run);
  const table = mixTable(spec.mix);
  const counts = { failed: 0, neverPushed: 0, pushedTwice: 0, otherwise: 0 };
  let acknowledged = 0;
  outcomes.forEach((outcome, n) => {
    const pushed = pushes[n] ?? 0;
    if (outcome === OUTCOME.failed || outcome === OUTCOME.error || outcome === OUTCOME.sent) {
      counts.failed += 1;
      return;
    }
    acknowledged += 1;
    if (outcome === OUTCOME.delivered && pushed === 0) counts.neverPushed += 1;
    if (pushed > 1) counts.pushedTwice += 1;
    if (outcome !== expected[table[n % table.length] as number]) counts.otherwise += 1;
  });
  const [row] = await db.select<{ stored: number }>(
    'SELECT COUNT(*) AS stored FROM messages WHERE msg_id LIKE ?',
    [`${spec.run}%`],
  );
  // Failed ones may be stored too: what counts is that no acknowledged one is missing.
  const notStored = Math.max(acknowledged - Number(row?.stored ?? 0), 0);
  return { ...counts, notStored, otherAnswer: resends.sent - resends.matching };
}

export function round(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
