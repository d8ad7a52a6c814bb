/** Latencies in an HDR histogram (Node's own): three significant digits from a microsecond to minutes. */
import { createHistogram } from 'node:perf_hooks';
import type { RecordableHistogram } from 'node:perf_hooks';

const LONGEST_US = 10 * 60 * 1_000_000;

/** Where a plot of the tail wants its points. */
const CURVE = [0, 25, 50, 75, 90, 95, 97.5, 99, 99.5, 99.75, 99.9, 99.95, 99.99, 100];

export interface LatencySummary {
  readonly count: number;
  readonly meanMs: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
  /** Percentile and ms. */
  readonly curve: readonly (readonly [number, number])[];
}

export class Latencies {
  private readonly histogram: RecordableHistogram = createHistogram({
    lowest: 1,
    highest: LONGEST_US,
    figures: 3,
  });

  record(ms: number): void {
    this.histogram.record(Math.min(Math.max(Math.round(ms * 1_000), 1), LONGEST_US));
  }

  reset(): void {
    this.histogram.reset();
  }

  summary(): LatencySummary {
    const { count } = this.histogram;
    const ms = (us: number): number => Number((us / 1_000).toFixed(3));
    const at = (percentile: number): number => {
      if (count === 0) return 0;
      return ms(percentile === 0 ? this.histogram.min : this.histogram.percentile(percentile));
    };
    return {
      count,
      meanMs: count === 0 ? 0 : ms(this.histogram.mean),
      p50: at(50),
      p90: at(90),
      p99: at(99),
      p999: at(99.9),
      max: count === 0 ? 0 : ms(this.histogram.max),
      curve: CURVE.map((percentile) => [percentile, at(percentile)] as const),
    };
  }
}
