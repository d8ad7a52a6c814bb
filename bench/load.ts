/**
 * `npm run bench`: the load test. The built server and worker on real servers of their own, under a
 * generator in its own process; beside it, in the same run, the floor: a grpc-js server that does
 * nothing. Writes a report (JSON, Markdown, SVG) to bench/results/.
 *
 *   --quick            a few minutes instead of 23
 *   --only a,b         these parts only: online, offline, group, duplicates, mixed; stream,
 *                      stream-offline, stream-group (on streams, not by calls)
 *   --name NAME        of the report; parts of an earlier one of that name that are not run stay in it
 *   --rate N           also an open loop at N messages a second for each part
 *   --compare A B      runs nothing: prints the ratios between two reports
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { compareFiles } from './harness/compare';
import { OUTCOME } from './harness/ledger';
import { KINDS, startLoadSystem } from './harness/load-system';
import type { LoadSystem } from './harness/load-system';
import { describeMachine } from './harness/machine';
import { measureFloor, measureProduct, round } from './harness/measure';
import { broken, capacityOf, HALF } from './harness/report';
import type { Part, Phase, ProductPhase, Report } from './harness/report';
import { LOAD_DEFAULTS } from './harness/traffic';
import { mean, median } from './harness/trend';
import type { LoadSpec, Traffic } from './harness/traffic';
import { describePhase } from './harness/markdown';
import { readReport, writeReport } from './harness/results';

/** Callers of the closed loop that capacity is measured with. */
const CALLERS = 50;
/** The same of streams, which are there to have much under way. */
const STREAMED = [200, 1_000];

interface Scale {
  /** Callers of the closed loops; the first one's throughput is the capacity. */
  readonly callers: readonly number[];
  /** Of the capacity, for the open loops; 0.5 among them. */
  readonly shares: readonly number[];
  /** A mixed load before anything is measured: Kafka's and our just-in-time compilers take their time. */
  readonly primeS: number;
  readonly warmUpS: number;
  /** Of each closed loop, between floors. */
  readonly rounds: number;
  readonly closedS: number;
  readonly openS: number;
  readonly floorS: number;
}

const QUICK: Scale = {
  callers: [CALLERS],
  shares: [0.5],
  primeS: 6,
  warmUpS: 1,
  rounds: 1,
  closedS: 4,
  openS: 4,
  floorS: 3,
};
const FULL: Scale = {
  callers: [CALLERS, 4 * CALLERS],
  shares: [0.25, 0.5, 0.75],
  primeS: 60,
  warmUpS: 2,
  rounds: 2,
  closedS: 8,
  openS: 12,
  floorS: 5,
};

interface Plan {
  readonly title: string;
  readonly mix: readonly Traffic[];
  /** Outcome of each kind in the mix. */
  readonly expected: readonly number[];
  readonly resends?: number;
  /** On streams, with so many messages unanswered on all of them together. */
  readonly streamed?: readonly number[];
}

const { delivered, offline, published } = OUTCOME;
const PLANS: Record<string, Plan> = {
  online: { title: 'Private, recipient online', mix: [KINDS.online], expected: [delivered] },
  offline: { title: 'Private, recipient offline', mix: [KINDS.offline], expected: [offline] },
  group: { title: 'Group of 100, 10 away', mix: [KINDS.group], expected: [published] },
  duplicates: {
    title: 'Online, 10 % sent again',
    mix: [KINDS.online],
    expected: [delivered],
    resends: 100,
  },
  mixed: {
    title: 'Mixed: 70 % online, 22 % offline, 8 % group; 2 % sent again',
    mix: [
      { ...KINDS.online, share: 70 },
      { ...KINDS.offline, share: 22 },
      { ...KINDS.group, share: 8 },
    ],
    expected: [delivered, offline, published],
    resends: 20,
  },
  stream: {
    title: 'Streamed, recipient online',
    mix: [KINDS.online],
    expected: [delivered],
    streamed: STREAMED,
  },
  'stream-offline': {
    title: 'Streamed, recipient offline',
    mix: [KINDS.offline],
    expected: [offline],
    streamed: STREAMED,
  },
  'stream-group': {
    title: 'Streamed, group of 100, 10 away',
    mix: [KINDS.group],
    expected: [published],
    streamed: STREAMED,
  },
};

const { values: args, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    name: { type: 'string' },
    rate: { type: 'string' },
    compare: { type: 'boolean', default: false },
  },
});

async function main(): Promise<void> {
  if (args.compare) {
    console.log(compareFiles(positionals));
    return;
  }
  const names = args.only?.split(',') ?? Object.keys(PLANS);
  const unknown = names.filter((name) => !PLANS[name]);
  if (unknown.length > 0) throw new Error(`no part is called ${unknown.join(', ')}`);
  const on = await startLoadSystem();
  try {
    const report = await new LoadTest(on, args.quick ? QUICK : FULL).run(names);
    const name = args.name ?? report.machine.date.slice(0, 16).replaceAll(':', '');
    const earlier = args.name === undefined ? undefined : readReport(args.name);
    const parts = { ...earlier?.parts, ...report.parts };
    const file = writeReport(name, { ...report, parts });
    console.log(`\n${file}`);
    const faults = Object.values(report.parts).flatMap((part) =>
      part.phases.flatMap(({ name, checks }) => broken(checks).map((fault) => `${name}: ${fault}`)),
    );
    if (faults.length > 0) throw new Error(`messages were lost or doubled:\n${faults.join('\n')}`);
  } finally {
    await on.close();
  }
}

class LoadTest {
  private readonly measuredFloors: Phase[] = [];

  constructor(
    private readonly on: LoadSystem,
    private readonly scale: Scale,
  ) {}

  async run(names: readonly string[]): Promise<Report> {
    const { scale, on } = this;
    const machine = describeMachine(on.system.stack);
    const parts: Record<string, Part> = {};
    await this.prime();
    const measured: [string, readonly ProductPhase[]][] = [];
    const halfP99s: number[] = [];
    for (const name of names) {
      const phases = await this.part(name, PLANS[name] as Plan);
      measured.push([name, phases]);
      halfP99s.push((await this.floorAtHalf(phases)).latency.p99);
    }
    for (const [name, phases] of measured) {
      parts[name] = summarize(PLANS[name]?.title ?? name, machine.date, phases, halfP99s);
    }
    const { callers, shares, ...times } = scale;
    const settings = { callers: callers.join(), shares: shares.join(), ...times };
    return { machine, settings, floor: this.measuredFloors, parts };
  }

  private async prime(): Promise<void> {
    const { mix, expected } = PLANS['mixed'] as Plan;
    const spec = this.spec(mix, { kind: 'closed', callers: CALLERS }, this.scale.primeS);
    console.log(describePhase(await measureProduct(this.on, 'not counted', spec, expected)));
    await this.floor({ kind: 'closed', callers: CALLERS }, 'not counted');
    this.measuredFloors.length = 0;
  }

  private async part(name: string, plan: Plan): Promise<readonly ProductPhase[]> {
    const { shares, rounds, closedS, openS } = this.scale;
    const callers = plan.streamed ?? this.scale.callers;
    const way = plan.streamed ? 'stream' : 'unary';
    const phases: ProductPhase[] = [];
    const run = async (
      what: string,
      loop: LoadSpec['loop'],
      seconds: number,
    ): Promise<ProductPhase> => {
      const spec = {
        ...this.spec(plan.mix, loop, seconds),
        way,
        resends: plan.resends ?? 0,
      } as const;
      const phase = await measureProduct(this.on, `${name} ${what}`, spec, plan.expected);
      console.log(describePhase(phase));
      return phase;
    };
    for (const count of callers) {
      let before = await this.closedFloor(count);
      for (let i = 0; i < rounds; i++) {
        const phase = await run(`by ${count} callers`, { kind: 'closed', callers: count }, closedS);
        const after = await this.closedFloor(count);
        phases.push({ ...phase, floor: round((before.perSecond + after.perSecond) / 2, 1) });
        before = after;
      }
    }
    const capacity = throughputOf(capacityOf({ phases }));
    const rates = shares.map((share): [string, number] => [
      `at ${share * 100} %`,
      share * capacity,
    ]);
    if (args.rate !== undefined) rates.push([`at ${args.rate}/s`, Number(args.rate)]);
    for (const [what, perSecond] of rates) {
      phases.push(await run(what, { kind: 'open', perSecond: round(perSecond, 0) }, openS));
    }
    return phases;
  }

  /** By as many callers, or by the most there are of calls. */
  private closedFloor(wanted: number): Promise<Phase> {
    const callers = Math.min(wanted, Math.max(...this.scale.callers));
    return this.floor({ kind: 'closed', callers }, `floor by ${callers} callers`);
  }

  private async floor(loop: LoadSpec['loop'], name: string): Promise<Phase> {
    const spec = this.spec([KINDS.online], loop, this.scale.floorS);
    const phase = await measureFloor(this.on, name, spec);
    console.log(describePhase(phase));
    this.measuredFloors.push(phase);
    return phase;
  }

  private floorAtHalf(phases: readonly ProductPhase[]): Promise<Phase> {
    const perSecond = round(mean(capacityOf({ phases }).map(({ floor }) => floor)) / 2, 0);
    return this.floor({ kind: 'open', perSecond }, `floor ${HALF}`);
  }

  private spec(
    mix: readonly Traffic[],
    loop: LoadSpec['loop'],
    seconds: number,
  ): Omit<LoadSpec, 'ports'> {
    const { warmUpS } = this.scale;
    const run = `b${randomBytes(4).toString('hex')}-`;
    // A conversation's first message reserves its numbers: that is not the steady state.
    const warmUpMessages = loop.kind === 'closed' ? LOAD_DEFAULTS.conversations * mix.length : 0;
    return { ...LOAD_DEFAULTS, run, warmUpS, warmUpMessages, seconds, mix, loop };
  }
}

function summarize(
  title: string,
  date: string,
  phases: readonly ProductPhase[],
  halfP99s: readonly number[],
): Part {
  const capacity = capacityOf({ phases });
  // Of the whole run: one interruption by the machine's host must not move it.
  const halfP99 = round(median(halfP99s), 2);
  const half = phases.find(({ name }) => name.endsWith(HALF));
  const ratios = capacity.map(({ perSecond, floor }) => perSecond / floor);
  return {
    title,
    date,
    perSecond: round(throughputOf(capacity), 1),
    floor: { perSecond: round(mean(capacity.map(({ floor }) => floor)), 1), halfP99 },
    throughputRatio: round(mean(ratios), 3),
    halfP99Ratio: round((half?.latency.p99 ?? 0) / halfP99, 2),
    phases,
  };
}

function throughputOf(rounds: readonly ProductPhase[]): number {
  return mean(rounds.map(({ perSecond }) => perSecond));
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
