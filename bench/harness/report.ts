/** What `npm run bench` writes down: the shape of its JSON. */
import type { CpuReading } from './cpu';
import type { LatencySummary } from './latencies';
import type { Machine } from './machine';

/** One load, measured. */
export interface Phase {
  readonly name: string;
  /** Callers of a closed loop, or messages a second of an open one. */
  readonly loop: { readonly callers: number } | { readonly perSecond: number };
  readonly perSecond: number;
  readonly latency: LatencySummary;
  /** How late the generator was against its own schedule, p99, ms. */
  readonly lateP99: number;
  /** CPU seconds for 1,000 messages, by process. */
  readonly cpu: CpuReading;
}

/** A load on the product: also what became of its messages, warm-up included. */
export interface ProductPhase extends Phase {
  readonly outcomes: Record<string, number>;
  /** Codes that answers named. */
  readonly codes: Record<string, number>;
  readonly resends: { readonly sent: number; readonly matching: number };
  readonly storage: Storage;
  readonly checks: Checks;
  /**
   * Of a closed loop: the floor's throughput by as many callers (on streams by the most it is measured
   * with), mean of right before and right after.
   */
  readonly floor?: number;
}

export interface Storage {
  /** Records a second in the measured time, of all topics that end in MySQL. */
  readonly appendedPerSecond: number;
  readonly storedPerSecond: number;
  /** Records not yet stored when the measured time began and ended. */
  readonly lagBefore: number;
  readonly lagAfter: number;
  /** From the end of the load until everything was stored. */
  readonly drainS: number;
}

/** Message by message. All but `otherwise` must be 0. */
export interface Checks {
  /** Calls without an answer, and answers "failed". */
  readonly failed: number;
  /** Answered "delivered", never pushed. */
  readonly neverPushed: number;
  readonly pushedTwice: number;
  /** Acknowledged, and not in MySQL in the end. */
  readonly notStored: number;
  /** Resent, and answered otherwise than before. */
  readonly otherAnswer: number;
  /** Safe, but not as their kind expects: an online recipient's message answered "offline". */
  readonly otherwise: number;
}

export interface Part {
  readonly title: string;
  readonly date: string;
  /** By the first number of callers, mean of its rounds. */
  readonly perSecond: number;
  /** Beside that; its p99 at half of its own throughput, median of the run. */
  readonly floor: { readonly perSecond: number; readonly halfP99: number };
  /** Throughput, and p99 at half of it, over the floor's. */
  readonly throughputRatio: number;
  readonly halfP99Ratio: number;
  readonly phases: readonly ProductPhase[];
}

export interface Report {
  readonly machine: Machine;
  readonly settings: Record<string, number | string>;
  readonly floor: readonly Phase[];
  readonly parts: Record<string, Part>;
}

/** A load of so many callers, or messages that are unanswered on streams. */
export type ClosedPhase = ProductPhase & {
  readonly loop: { readonly callers: number };
  readonly floor: number;
};

/** The rounds of each number of callers. */
export function closedLoopsOf({ phases }: Pick<Part, 'phases'>): ClosedPhase[][] {
  const rounds = new Map<number, ClosedPhase[]>();
  for (const phase of phases.filter(isClosed)) {
    const { callers } = phase.loop;
    rounds.set(callers, [...(rounds.get(callers) ?? []), phase]);
  }
  return [...rounds.values()];
}

function isClosed(phase: ProductPhase): phase is ClosedPhase {
  return 'callers' in phase.loop && phase.floor !== undefined;
}

/** The rounds that the part's throughput is taken from: those by the fewest callers, which come first. */
export function capacityOf(part: Pick<Part, 'phases'>): ClosedPhase[] {
  return closedLoopsOf(part)[0] ?? [];
}

/** The open loop at half of that throughput. */
export function halfOf(part: Part): ProductPhase {
  return part.phases.find(({ name }) => name.endsWith(HALF)) as ProductPhase;
}

export const HALF = 'at 50 %';

/** The checks that did not hold, with how often. */
export function broken(checks: Checks): string[] {
  return Object.entries(checks)
    .filter(([name, count]) => name !== 'otherwise' && count !== 0)
    .map(([name, count]) => `${name} ${count}`);
}
