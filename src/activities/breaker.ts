/**
 * Circuit breaker (Nygard, *Release It!*): after some failures in a row calls are refused at once;
 * after a while one call may try, and its outcome closes or opens the breaker again.
 */
export class CircuitBreaker {
  private failures = 0;
  /** unix ms until which calls are refused; 0 when closed */
  private openUntil = 0;
  private probing = false;

  constructor(private readonly options: { failures: number; openMs: number; now: () => number }) {}

  get isOpen(): boolean {
    return this.openUntil > 0;
  }

  /** Whether a call may be made now. Each `true` must be followed by one succeeded() or failed(). */
  allows(): boolean {
    if (this.openUntil === 0) return true;
    if (this.probing || this.options.now() < this.openUntil) return false;
    this.probing = true;
    return true;
  }

  succeeded(): void {
    this.failures = 0;
    this.openUntil = 0;
    this.probing = false;
  }

  failed(): void {
    this.failures += 1;
    this.probing = false;
    if (this.failures >= this.options.failures) {
      this.openUntil = this.options.now() + this.options.openMs;
    }
  }
}
