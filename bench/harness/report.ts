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
  /** The floor's throughput, right before and right after; its p99 at half of it, median of the run. */
  readonly floor: {
    readonly perSecond: number;
    readonly around: readonly number[];
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

/** The closed loop that the part's throughput is taken from: its first. */
export function capacityOf(part: Part): ProductPhase {
  return part.phases.find(({ loop }) => 'callers' in loop) as ProductPhase;
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
