/** Marks pushed messages as delivered while the pushing goes on: in MySQL for good, in Redis as well. */
import { Coalescer } from '../activities/coalescer';
import type { InboxDelivery } from '../activities/mysql/inbox';
import { sleep } from '../activities/sleep';
import { messageOf } from '../domain/errors';
import type { DeliverInboxDeps } from './deliver-inbox';

/** Pushed messages wait here for their mark; `MAX_UNMARKED` bounds them far below. */
const MAX_QUEUED = 1_000;
/** How long MySQL may be away before marks are given up and the messages pushed again, ms. */
const PATIENCE_MS = 60_000;
const RETRY_FIRST_MS = 100;
const RETRY_LONGEST_MS = 2_000;

export class DeliveryMarker {
  private readonly queue: Coalescer<InboxDelivery, void>;
  private readonly unmarked = new Set<Promise<void>>();
  private failure: { readonly error: unknown } | undefined;
  private count = 0;
  private giveUpAt = Infinity;

  constructor(
    private readonly userId: string,
    private readonly deps: Pick<
      DeliverInboxDeps,
      'mailbox' | 'states' | 'counts' | 'erasedUsers' | 'now' | 'metrics' | 'log'
    >,
  ) {
    this.queue = new Coalescer({
      run: async (items) => {
        await this.mark(items);
        return new Array<void>(items.length);
      },
      maxBatch: MAX_QUEUED,
      maxQueued: MAX_QUEUED,
    });
  }

  /** Messages that this page moved from waiting to delivered. */
  get marked(): number {
    return this.count;
  }

  /** Hands over a message that was pushed; does not wait for its mark. */
  add(item: InboxDelivery): void {
    const marking = this.queue.add(item).then(
      () => void this.unmarked.delete(marking),
      (error: unknown) => {
        this.unmarked.delete(marking);
        this.failure ??= { error };
      },
    );
    this.unmarked.add(marking);
  }

  /** Resolves when fewer than `limit` messages are unmarked; throws when one could not be marked. */
  async belowUnmarked(limit: number): Promise<void> {
    while (this.unmarked.size >= limit) await Promise.race(this.unmarked);
    if (this.failure) throw this.failure.error;
  }

  /** Resolves when everything handed over is marked; throws when something could not be. */
  async finish(): Promise<void> {
    await this.belowUnmarked(1);
  }

  /** Sets the count that the quota is checked against to the truth. */
  async noteCount(pending: number): Promise<void> {
    await this.bestEffort('count', () => this.deps.counts.set(this.userId, pending));
  }

  private async mark(items: readonly InboxDelivery[]): Promise<void> {
    const { mailbox, states, metrics } = this.deps;
    const changed = await this.patiently(() =>
      mailbox.markDelivered(this.userId, this.toKeep(items)),
    );
    this.count += changed;
    metrics.deliveries.inc(changed);
    await this.bestEffort('states', () => states.markDelivered(this.toKeep(items)));
  }

  /** Of a user who was erased meanwhile no devices are written down. */
  private toKeep(items: readonly InboxDelivery[]): readonly InboxDelivery[] {
    if (!this.deps.erasedUsers.has(this.userId)) return items;
    return items.map((item) => ({ ...item, devices: [] }));
  }

  private async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let pause = RETRY_FIRST_MS; ; pause = Math.min(pause * 2, RETRY_LONGEST_MS)) {
      try {
        const result = await work();
        this.giveUpAt = Infinity;
        return result;
      } catch (error) {
        // Counted from the first failure of all marks: together they stay within the activity's time.
        this.giveUpAt = Math.min(this.giveUpAt, this.deps.now() + PATIENCE_MS);
        if (this.deps.now() + pause > this.giveUpAt) throw error;
        this.deps.log.warn({ err: messageOf(error) }, 'not marked as delivered, trying again');
      }
      await sleep(pause);
    }
  }

  /** What Redis keeps is a copy: its absence must not fail a delivery. */
  private async bestEffort(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.deps.log.debug({ what, err: messageOf(error) }, 'Redis was not told of a delivery');
    }
  }
}
