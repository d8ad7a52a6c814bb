/**
 * Calls to Temporal, debounced: for one key the first goes out at once, those that follow become one
 * for each pause at most. So calls grow with users, not with messages.
 */
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';

export interface DebouncedCallsOptions {
  /** One call for a key; has its own deadline. A call that fails is left to the sweep. */
  readonly call: (key: string) => Promise<void>;
  /** Time between two calls for one key, ms; asked when a call begins. */
  readonly pauseMs: (key: string) => number;
  /** The same of a key that {@link DebouncedCalls.shorten} was called for, ms. */
  readonly shortestMs: number;
  /** Calls at once: a Temporal server on two cores takes about 100 a second (architecture §2). */
  readonly concurrency: number;
  /** Keys with a call under way or within their pause; beyond it requests are dropped. */
  readonly maxKeys: number;
  readonly dropped: () => void;
  readonly log: Logger;
}

/** A key that is not to be called for now. */
interface Recent {
  /** It was requested again meanwhile. */
  again: boolean;
  /** Since its call began, by `performance.now()`; until then it waits for its turn. */
  pause?: { readonly since: number; timer: NodeJS.Timeout };
}

export class DebouncedCalls {
  private readonly recent = new Map<string, Recent>();
  private readonly queue: string[] = [];
  private readonly calls = new Set<Promise<void>>();
  private closed = false;

  constructor(private readonly options: DebouncedCallsOptions) {}

  /** Asks for a call; returns at once and never throws. */
  request(key: string): void {
    if (this.closed) return;
    const recent = this.recent.get(key);
    if (recent) {
      recent.again = true;
      return;
    }
    if (this.recent.size >= this.options.maxKeys) {
      this.options.dropped();
      return;
    }
    this.recent.set(key, { again: false });
    this.queue.push(key);
    this.next();
  }

  /** Makes a key that waits for its pause to end wait for the shortest one alone. */
  shorten(key: string): void {
    const pause = this.recent.get(key)?.pause;
    if (!pause) return;
    clearTimeout(pause.timer);
    const left = pause.since + this.options.shortestMs - performance.now();
    pause.timer = setTimeout(() => this.afterPause(key), Math.max(left, 0));
  }

  /** Whether a call for the key waits, is under way, or has just ended. */
  has(key: string): boolean {
    return this.recent.has(key);
  }

  /** Drops what waits, and resolves when the calls under way have ended. */
  async close(): Promise<void> {
    this.closed = true;
    this.queue.length = 0;
    for (const { pause } of this.recent.values()) clearTimeout(pause?.timer);
    await Promise.all(this.calls);
  }

  private next(): void {
    if (this.calls.size >= this.options.concurrency) return;
    const key = this.queue.shift();
    if (key === undefined) return;
    const call = this.call(key).finally(() => {
      this.calls.delete(call);
      if (!this.closed) this.next();
    });
    this.calls.add(call);
  }

  private async call(key: string): Promise<void> {
    // What is requested from here on may have come too late for this call.
    const timer = setTimeout(() => this.afterPause(key), this.options.pauseMs(key));
    this.recent.set(key, { again: false, pause: { since: performance.now(), timer } });
    try {
      await this.options.call(key);
    } catch (error) {
      this.options.log.warn({ err: messageOf(error) }, 'Temporal not called, left to the sweep');
    }
  }

  private afterPause(key: string): void {
    const again = this.recent.get(key)?.again ?? false;
    this.recent.delete(key);
    if (again) this.request(key);
  }
}
