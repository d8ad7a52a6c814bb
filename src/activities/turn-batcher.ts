/**
 * Batches by turn: what is asked in one turn of the event loop is asked together at its end. Nothing
 * waits for a timer or for an earlier batch; the busier the process, the larger its turns.
 */

interface Entry<Item, Result> {
  readonly item: Item;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

export interface TurnBatcherOptions<Item, Result> {
  /** Runs one batch and resolves to a result, or an error, for each item. Must have its own deadline. */
  readonly run: (items: readonly Item[]) => Promise<readonly (Result | Error)[]>;
  /** Items of one batch; a larger turn makes several, at once. */
  readonly maxBatch: number;
}

export class TurnBatcher<Item, Result> {
  private turn: Entry<Item, Result>[] = [];

  constructor(private readonly options: TurnBatcherOptions<Item, Result>) {}

  /** The item's own result or error, or the error of the batch it was in. */
  add(item: Item): Promise<Result> {
    return new Promise((resolve, reject) => {
      this.turn.push({ item, resolve, reject });
      if (this.turn.length === 1) setImmediate(() => this.flush());
    });
  }

  private flush(): void {
    const all = this.turn;
    this.turn = [];
    const { maxBatch } = this.options;
    if (all.length <= maxBatch) void this.runOne(all);
    else {
      for (let at = 0; at < all.length; at += maxBatch) {
        void this.runOne(all.slice(at, at + maxBatch));
      }
    }
  }

  private async runOne(batch: Entry<Item, Result>[]): Promise<void> {
    try {
      const results = await this.options.run(batch.map(({ item }) => item));
      batch.forEach(({ resolve, reject }, i) => {
        const result = results[i];
        if (result instanceof Error) reject(result);
        else resolve(result as Result);
      });
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
