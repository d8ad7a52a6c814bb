/**
 * Batches by what arrives while an earlier batch is in flight: an idle coalescer runs an item at once
 * and alone, a busy one runs larger batches. No item waits for a timer, unless batches are to be a
 * certain time apart.
 */
import { sleep } from './sleep';

interface Entry<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export interface CoalescerOptions<Item, Result> {
  /** Runs one batch and resolves to one result for each item, in order. Must have its own deadline. */
  readonly run: (items: Item[]) => Promise<readonly Result[]>;
  /** Items of one batch. */
  readonly maxBatch: number;
  /** What they may come to together, where their size counts too; a larger item is a batch of its own. */
  readonly maxSize?: { readonly size: number; readonly of: (item: Item) => number };
  /** Items that may wait; {@link Coalescer.add} rejects beyond it. */
  readonly maxQueued: number;
  /** A batch begins no sooner than this after the one before, ms: for batches that cost by the batch. */
  readonly apartMs?: number;
}

/** The queue is full. */
export class QueueFullError extends Error {
  override readonly name = 'QueueFullError';
}

export class Coalescer<Item, Result> {
  private queue: Entry<Item, Result>[] = [];
  private running = false;
  private idle: (() => void)[] = [];

  constructor(private readonly options: CoalescerOptions<Item, Result>) {}

  /** The item's own result, or the error of the batch it was in. */
  add(item: Item): Promise<Result> {
    if (this.queue.length >= this.options.maxQueued) {
      return Promise.reject(new QueueFullError(`${this.options.maxQueued} items wait already`));
    }
    return new Promise((resolve, reject) => {
      this.queue.push({ item, resolve, reject });
      if (!this.running) void this.drain();
    });
  }

  /** Resolves when nothing waits and nothing runs. */
  whenIdle(): Promise<void> {
    if (!this.running) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  private async drain(): Promise<void> {
    this.running = true;
    // Lets the rest of this turn's callers join the first batch.
    await Promise.resolve();
    while (this.queue.length > 0) {
      const next = performance.now() + (this.options.apartMs ?? 0);
      await this.runOne(this.take());
      const left = next - performance.now();
      if (left > 0) await sleep(left);
    }
    this.running = false;
    for (const resolve of this.idle.splice(0)) resolve();
  }

  private take(): Entry<Item, Result>[] {
    const count = this.nextCount();
    if (this.queue.length > count) return this.queue.splice(0, count);
    const all = this.queue;
    this.queue = [];
    return all;
  }

  private nextCount(): number {
    const { maxBatch, maxSize } = this.options;
    const most = Math.min(this.queue.length, maxBatch);
    if (!maxSize) return most;
    let size = 0;
    for (let i = 0; i < most; i++) {
      size += maxSize.of((this.queue[i] as Entry<Item, Result>).item);
      if (size > maxSize.size && i > 0) return i;
    }
    return most;
  }

  private async runOne(batch: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await this.options.run(batch.map((entry) => entry.item));
      batch.forEach((entry, i) => entry.resolve(results[i] as Result));
    } catch (error) {
      for (const entry of batch) entry.reject(error);
    }
  }
}
