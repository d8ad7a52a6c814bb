/**
 * Notices when a user is present *and* something waits for them (architecture §4). Two observers
 * cover each other: whichever of the two comes second, a stored message or an appearing device, finds
 * the other there. Each reacts only in the worker that reads the user's partition of `offline_msg`.
 */
import { Coalescer, QueueFullError } from '../activities/coalescer';
import type { Presence } from '../activities/etcd/presence';
import type { Inbox } from '../activities/mysql/inbox';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';

/** Users whose presence is asked for at once; the answers come from memory mostly. */
const MAX_LOOKUPS = 64;
/** Users in one question to MySQL. */
const MAX_ASKED = 500;
/** Users who may wait for either; more are left to the sweep. */
const MAX_QUEUED = 50_000;

export interface DeliveryTriggerDeps {
  readonly presence: Pick<Presence, 'lookup' | 'onAppear'>;
  readonly inbox: Pick<Inbox, 'hasPending'>;
  readonly requests: { request(userId: string): void };
  /** Whether this worker answers for the user. */
  readonly owns: (userId: string) => boolean;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class DeliveryTrigger {
  private readonly lookups: Coalescer<string, void>;
  private readonly questions: Coalescer<string, void>;
  private closed = false;

  constructor(private readonly deps: DeliveryTriggerDeps) {
    const queue = (maxBatch: number, run: (userIds: string[]) => Promise<void>) =>
      new Coalescer<string, void>({
        run: async (userIds) => {
          await run(userIds);
          return new Array<void>(userIds.length);
        },
        maxBatch,
        maxQueued: MAX_QUEUED,
      });
    this.lookups = queue(MAX_LOOKUPS, (userIds) => this.requestPresent(userIds));
    this.questions = queue(MAX_ASKED, (userIds) => this.requestPending(userIds));
    deps.presence.onAppear((userId) => this.appeared(userId));
  }

  /** Something new waits for these users, and is committed. */
  stored(userIds: Iterable<string>): void {
    for (const userId of userIds) this.enqueue(this.lookups, userId);
  }

  /** Resolves when nothing is being looked up any more. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([this.lookups.whenIdle(), this.questions.whenIdle()]);
  }

  private appeared(userId: string): void {
    if (this.deps.owns(userId)) this.enqueue(this.questions, userId);
  }

  private enqueue(queue: Coalescer<string, void>, userId: string): void {
    if (this.closed) return;
    queue.add(userId).catch((error: unknown) => {
      const outcome = error instanceof QueueFullError ? 'dropped' : 'failed';
      this.deps.metrics.deliveryStarts.inc({ outcome });
      this.deps.log.debug({ err: messageOf(error) }, 'a delivery is left to the sweep');
    });
  }

  private async requestPresent(userIds: readonly string[]): Promise<void> {
    await Promise.all(
      [...new Set(userIds)].map(async (userId) => {
        const { devices } = await this.deps.presence.lookup(userId);
        if (devices.length > 0) this.deps.requests.request(userId);
      }),
    );
  }

  private async requestPending(userIds: readonly string[]): Promise<void> {
    const pending = await this.deps.inbox.hasPending([...new Set(userIds)]);
    for (const userId of pending) this.deps.requests.request(userId);
  }
}
