/**
 * The pauses between attempts while a user's gateways take nothing: 1, 2, 4, 8 and 16 s.
 *
 * A wake may cut a pause short for an extra attempt; the pause then goes on from where it was. So
 * wakes, however many, never make the patience last longer or end sooner.
 */
const PAUSES_MS = [1_000, 2_000, 4_000, 8_000, 16_000];

export class Backoff {
  private used = 0;
  /** Workflow time at which the current pause ends. */
  private until = 0;

  /** Pauses begun since the last reset. */
  get attempts(): number {
    return this.used;
  }

  /** Something was delivered: patience begins anew. */
  reset(): void {
    this.used = 0;
    this.until = 0;
  }

  /** Ms to wait before the next attempt; `undefined` when patience is at its end. */
  next(now: number): number | undefined {
    if (now < this.until) return this.until - now;
    const pause = PAUSES_MS[this.used];
    if (pause === undefined) return undefined;
    this.used += 1;
    this.until = now + pause;
    return pause;
  }
}
