/**
 * Circuit breaker (Nygard, *Release It!*): after some failures in a row calls are refused at once;
 * after a while one call may try, and its outcome closes or opens the breaker again.
 */
export class CircuitBreaker {
  private failures = 0;
  /** unix ms until which calls are refused; 0 when closed */
  private openUntil = 0;

  constructor(private readonly options: { failures: number; openMs: number; now: () => number }) {}

  get isOpen(): boolean {
    return this.openUntil > 0;
  }

  /** Whether a call may be made now. */
  allows(): boolean {
    if (this.openUntil === 0) return true;
    const now = this.options.now();
    if (now < this.openUntil) return false;
    // This call tries; the next may when it has failed, or has been silent for as long again.
    this.openUntil = now + this.options.openMs;
    return true;
  }

  succeeded(): void {
    this.failures = 0;
    this.openUntil = 0;
  }

  failed(): void {
    this.failures += 1;
    if (this.failures >= this.options.failures) {
      this.openUntil = this.options.now() + this.options.openMs;
    }
  }
}
