/**
 * Whether the service stays as it is: half of its capacity for a long time, with memory and p99 of each
 * ten seconds, and their slopes. `npm run bench -- soak [--minutes 30] [--rate N] [--name NAME]`.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { OUTCOME } from './harness/ledger';
import { KINDS, startLoadSystem } from './harness/load-system';
import type { LoadSystem } from './harness/load-system';
import { describeMachine } from './harness/machine';
import { describePhase } from './harness/markdown';
import { measureProduct, round } from './harness/measure';
import { scrape } from './harness/metrics';
import { broken } from './harness/report';
import type { ProductPhase } from './harness/report';
import { writeJson } from './harness/results';
import { slopePerHour, thirds } from './harness/trend';
import { LOAD_DEFAULTS } from './harness/traffic';
import type { LoadSpec } from './harness/traffic';

const INTERVAL_S = 10;
const CALLERS = 50;
const MIX = [
  { ...KINDS.online, share: 75 },
  { ...KINDS.offline, share: 25 },
];
const MIB = 1024 * 1024;

interface Sample {
  readonly minute: number;
  readonly perSecond: number;
  readonly p99: number;
  readonly serverRss: number;
  readonly serverHeap: number;
  readonly workerRss: number;
  readonly workerHeap: number;
}

const { values: args } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string' },
    name: { type: 'string', default: 'soak' },
  },
});

async function main(): Promise<void> {
  const on = await startLoadSystem();
  try {
    // Also when the rate is given: it warms everything up.
    const half = await halfOfCapacity(on);
    const rate = args.rate === undefined ? half : Number(args.rate);
    const samples: Sample[] = [];
    const began = Date.now();
    const sampled: Promise<void>[] = [];
    const spec = specOf({ kind: 'open', perSecond: rate }, Number(args.minutes) * 60);
    const phase = await measure(
      on,
      'soak',
      { ...spec, warmUpS: 20, intervalS: INTERVAL_S },
      (p99, n) => {
        const minute = round((Date.now() - began) / 60_000, 2);
        const sample = memory(on).then(
          (of) => {
            samples.push({ minute, perSecond: round(n, 1), p99, ...of });
            console.log(JSON.stringify(samples.at(-1)));
          },
          (error: unknown) => console.error(`no sample at minute ${minute}: ${String(error)}`),
        );
        sampled.push(sample);
      },
    );
    await Promise.all(sampled);
    console.log(describePhase(phase));
    const trends = trendsOf(samples);
    console.log(trends);
    const machine = describeMachine(on.system.stack);
    const { latency, outcomes, checks } = phase;
    console.log(
      writeJson(args.name, { machine, rate, trends, latency, outcomes, checks, samples }),
    );
    if (broken(checks).length > 0) throw new Error(broken(checks).join(', '));
  } finally {
    await on.close();
  }
}

async function halfOfCapacity(on: LoadSystem): Promise<number> {
  const closed = specOf({ kind: 'closed', callers: CALLERS }, 10);
  const phase = await measure(on, 'capacity', { ...closed, warmUpS: 10 });
  console.log(describePhase(phase));
  return Math.round(phase.perSecond / 2);
}

function measure(
  on: LoadSystem,
  name: string,
  spec: Omit<LoadSpec, 'ports'>,
  onInterval: (p99: number, perSecond: number) => void = () => undefined,
): Promise<ProductPhase> {
  return measureProduct(on, name, spec, [OUTCOME.delivered, OUTCOME.offline], {
    onInterval: ({ latency, perSecond }) => onInterval(latency.p99, perSecond),
  });
}

function specOf(loop: LoadSpec['loop'], seconds: number): Omit<LoadSpec, 'ports'> {
  const run = `k${randomBytes(4).toString('hex')}-`;
  return { ...LOAD_DEFAULTS, run, seconds, mix: MIX, loop };
}

/** Resident memory and used heap of server and worker, MiB. */
async function memory({
  system,
}: LoadSystem): Promise<Omit<Sample, 'minute' | 'perSecond' | 'p99'>> {
  const [server, worker] = await Promise.all([
    scrape(system.httpPort),
    scrape(system.workerHttpPort),
  ]);
  const mib = (value: number | undefined): number => round((value ?? 0) / MIB, 1);
  return {
    serverRss: mib(server.get('process_resident_memory_bytes')),
    serverHeap: mib(server.get('nodejs_heap_size_used_bytes')),
    workerRss: mib(worker.get('process_resident_memory_bytes')),
    workerHeap: mib(worker.get('nodejs_heap_size_used_bytes')),
  };
}

/** For each figure: its slope an hour, and its median in the last third over that in the first. */
function trendsOf(
  samples: readonly Sample[],
): Record<string, { anHour: number; lastToFirst: number }> {
  const figures = ['p99', 'serverRss', 'serverHeap', 'workerRss', 'workerHeap'] as const;
  return Object.fromEntries(
    figures.map((figure) => {
      const points = samples.map((sample): [number, number] => [sample.minute, sample[figure]]);
      const [first, last] = thirds(points.map(([, value]) => value));
      return [
        figure,
        { anHour: round(slopePerHour(points), 2), lastToFirst: round(last / first, 2) },
      ];
    }),
  );
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
