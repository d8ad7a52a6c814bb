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
  /**
   * The floor's throughput, right before and right after: by the callers that the part's capacity is
   * measured with, and by each number of callers. Its p99 at half of the first, median of the run.
   */
  readonly floor: {
    readonly perSecond: number;
    readonly byCallers: Readonly<Record<number, number>>;
    readonly halfP99: number;
  };
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
export type ClosedPhase = ProductPhase & { readonly loop: { readonly callers: number } };

export function closedLoopsOf(part: Part): ClosedPhase[] {
  return part.phases.filter((phase): phase is ClosedPhase => 'callers' in phase.loop);
}

/** The closed loop that the part's throughput is taken from: its first. */
export function capacityOf(part: Part): ProductPhase {
  return closedLoopsOf(part)[0] as ProductPhase;
}

/** The floor's throughput by as many callers, or by the most that it was measured with. */
export function floorFor({ floor }: Part, callers: number): number {
  const most = Math.max(...Object.keys(floor.byCallers).map(Number));
  return floor.byCallers[callers] ?? floor.byCallers[most] ?? floor.perSecond;
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
