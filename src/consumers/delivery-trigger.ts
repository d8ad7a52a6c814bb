/**
 * Notices when a user is present *and* something waits for them (architecture §4). Two observers
 * cover each other: whichever of the two comes second, a stored message or an appearing device, finds
 * the other there. Each reacts only in the worker that reads the user's partition of `offline_msg`.
 * Comings and goings are noted in the order they were seen: what waits in large groups hangs on them.
 */
import { Coalescer, QueueFullError } from '../activities/coalescer';
import type { Presence } from '../activities/etcd/presence';
import type { Mailbox } from '../activities/mysql/mailbox';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';

/** Users whose presence is asked for at once, from memory mostly, the others in few questions. */
const MAX_LOOKUPS = 500;
/** Users in one question to MySQL. */
const MAX_ASKED = 500;
/** Users who may wait for either; more are left to the sweep. */
const MAX_QUEUED = 50_000;

export interface DeliveryTriggerDeps {
  readonly presence: Pick<Presence, 'lookupMany' | 'cached' | 'onAppear' | 'onVanish'>;
  readonly mailbox: Pick<Mailbox, 'appeared' | 'vanished'>;
  readonly requests: {
    request(userId: string): void;
    /** For a user who has come anew. */
    requestAnew(userId: string): void;
    forget(userId: string): void;
  };
  /** Whether this worker answers for the user. */
  readonly owns: (userId: string) => boolean;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** A user who was seen to come, or of whom the last device was seen to go; unix ms. */
interface Sighting {
  readonly userId: string;
  readonly isPresent: boolean;
  readonly at: number;
}

export class DeliveryTrigger {
  private readonly lookups: Coalescer<string, void>;
  private readonly sightings: Coalescer<Sighting, void>;
  private closed = false;

  constructor(private readonly deps: DeliveryTriggerDeps) {
    this.lookups = queue(MAX_LOOKUPS, (userIds) => this.requestPresent(userIds));
    this.sightings = queue(MAX_ASKED, (sightings) => this.note(sightings));
    deps.presence.onAppear((userId) => this.saw(userId, true));
    deps.presence.onVanish((userId) => this.saw(userId, false));
  }

  /** Something new waits for these users, and is committed. */
  stored(userIds: Iterable<string>): void {
    for (const userId of userIds) {
      this.deps.requests.forget(userId);
      this.enqueue(this.lookups, userId);
    }
  }

  /** Resolves when nothing is being looked up any more. */
  async close(): Promise<void> {
    this.closed = true;
    await Promise.all([this.lookups.whenIdle(), this.sightings.whenIdle()]);
  }

  /** These users are known to be present, and that something waits for them. */
  awoken(userIds: Iterable<string>): void {
    for (const userId of userIds) this.deps.requests.request(userId);
  }

  private saw(userId: string, isPresent: boolean): void {
    if (!this.deps.owns(userId)) return;
    this.deps.requests.forget(userId);
    // Another device may be left; of users who are not remembered the sweep finds out.
    if (!isPresent && this.deps.presence.cached(userId)?.length !== 0) return;
    this.enqueue(this.sightings, { userId, isPresent, at: this.deps.now() });
  }

  private enqueue<Item>(to: Coalescer<Item, void>, item: Item): void {
    if (this.closed) return;
    to.add(item).catch((error: unknown) => {
      const outcome = error instanceof QueueFullError ? 'dropped' : 'failed';
      this.deps.metrics.deliveryStarts.inc({ outcome });
      this.deps.log.debug({ err: messageOf(error) }, 'a delivery is left to the sweep');
    });
  }

  private async requestPresent(userIds: readonly string[]): Promise<void> {
    const answers = await this.deps.presence.lookupMany([...new Set(userIds)]);
    for (const [userId, { devices }] of answers) {
      if (devices.length > 0) this.deps.requests.request(userId);
    }
  }

  private async appeared(users: readonly string[], at: number): Promise<void> {
    const waiting = await this.deps.mailbox.appeared(users, at);
    for (const userId of waiting) this.deps.requests.requestAnew(userId);
  }

  private async note(sightings: readonly Sighting[]): Promise<void> {
    for (const run of runsOf(sightings)) {
      const users = [...new Set(run.map(({ userId }) => userId))];
      const times = run.map(({ at }) => at);
      // Dated so that a doubt makes a message come again, not stay away.
      if (!run[0]?.isPresent) await this.deps.mailbox.vanished(users, Math.min(...times));
      else await this.appeared(users, Math.max(...times));
    }
  }
}

function queue<Item>(
  maxBatch: number,
  run: (items: Item[]) => Promise<void>,
): Coalescer<Item, void> {
  return new Coalescer({
    run: async (items) => {
      await run(items);
      return new Array<void>(items.length);
    },
    maxBatch,
    maxQueued: MAX_QUEUED,
  });
}

/** The sightings in pieces of one kind, in their order. */
function runsOf(sightings: readonly Sighting[]): Sighting[][] {
  const runs: Sighting[][] = [];
  for (const sighting of sightings) {
    const last = runs.at(-1);
    if (last?.[0]?.isPresent === sighting.isPresent) last.push(sighting);
    else runs.push([sighting]);
  }
  return runs;
}
