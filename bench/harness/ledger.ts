/** What became of each message of a load, by its number. */

export const OUTCOME = {
  unsent: 0,
  sent: 1,
  delivered: 2,
  offline: 3,
  published: 4,
  failed: 5,
  /** The call ended without an answer. */
  error: 6,
} as const;

export const OUTCOME_NAMES = Object.keys(OUTCOME) as (keyof typeof OUTCOME)[];

/** Grows as it is written to. */
export class Ledger {
  private outcomes = new Uint8Array(1 << 16);
  private sequences = new Float64Array(1 << 16);
  private length = 0;

  sent(n: number): void {
    if (n >= this.outcomes.length) {
      this.outcomes = grown(this.outcomes, new Uint8Array(n * 2));
      this.sequences = grown(this.sequences, new Float64Array(n * 2));
    }
    this.outcomes[n] = OUTCOME.sent;
    this.length = Math.max(this.length, n + 1);
  }

  answered(n: number, outcome: number, sequence: number): void {
    this.outcomes[n] = outcome;
    this.sequences[n] = sequence;
  }

  /** Whether an answer is the one that the message had. */
  matches(n: number, outcome: number, sequence: number): boolean {
    return this.outcomes[n] === outcome && this.sequences[n] === sequence;
  }

  outcomeOf(n: number): number {
    return this.outcomes[n] ?? OUTCOME.unsent;
  }

  all(): Uint8Array {
    return this.outcomes.slice(0, this.length);
  }
}

/** How many messages came to each end. */
export function countOutcomes(outcomes: Uint8Array): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const outcome of outcomes) {
    const name = OUTCOME_NAMES[outcome] ?? 'unknown';
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

function grown<T extends Uint8Array | Float64Array>(from: T, to: T): T {
  to.set(from);
  return to;
}
