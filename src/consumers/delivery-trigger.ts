/**
 * Notices when a user is present *and* something waits for them (architecture §4). Two observers
 * cover each other: whichever of the two comes second, a stored message or an appearing device, finds
 * the other there. Each reacts only in the worker that reads the user's partition of `offline_msg`.
 * Comings and goings are noted in the order they were seen: what waits in large groups hangs on them.
 * Whether the device that went was the last one of a user who is not remembered, the registry is asked.
 */
import { Coalescer, QueueFullError } from '../activities/coalescer';
import type { Presence } from '../activities/etcd/presence';
import type { Mailbox } from '../activities/mysql/mailbox';
import { messageOf } from '../domain/errors';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import { DOUBT_MS } from '../routing/attendance';

/** Users whose presence is asked for at once, from memory mostly, the others in few questions. */
const MAX_LOOKUPS = 500;
/** Users in one question to MySQL. */
const MAX_ASKED = 500;
/** Users who may wait for either; more are left to the sweep. */
const MAX_QUEUED = 50_000;

export interface DeliveryTriggerDeps {
  readonly presence: Pick<Presence, 'lookupMany' | 'cached' | 'onAppear' | 'onVanish'>;
  readonly mailbox: Pick<Mailbox, 'appeared' | 'vanished' | 'presentAmong'>;
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

/** A user who was seen to come, or of whom a device was seen to go; unix ms. */
interface Sighting {
  readonly userId: string;
  readonly isPresent: boolean;
  /** Of one that went: it was the last, as far as is remembered. */
  readonly isLast: boolean;
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
    const left = this.deps.presence.cached(userId)?.length;
    if (!isPresent && left !== undefined && left > 0) return;
    this.enqueue(this.sightings, { userId, isPresent, isLast: left === 0, at: this.deps.now() });
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

  private async vanished(sightings: readonly Sighting[], at: number): Promise<void> {
    const { mailbox, presence, now } = this.deps;
    const gone = new Set(sightings.filter(({ isLast }) => isLast).map(({ userId }) => userId));
    const others = new Set(sightings.map(({ userId }) => userId));
    for (const userId of gone) others.delete(userId);
    // Most users are in no large group: nothing hangs on them, and nobody need be asked.
    const unsure = others.size > 0 ? await mailbox.presentAmong([...others]) : [];
    const back: string[] = [];
    for (const [userId, { devices, certain }] of await presence.lookupMany(unsure)) {
      // Whoever is there may have been away between.
      const isNew = devices.every(({ connectedAt }) => connectedAt * 1_000 > at - DOUBT_MS);
      if (certain && !isNew) continue;
      gone.add(userId);
      if (devices.length > 0) back.push(userId);
    }
    await mailbox.vanished([...gone], at);
    if (back.length > 0) await this.appeared(back, now());
  }

  private async note(sightings: readonly Sighting[]): Promise<void> {
    for (const run of runsOf(sightings)) {
      const times = run.map(({ at }) => at);
      // Dated so that a doubt makes a message come again, not stay away.
      if (!run[0]?.isPresent) await this.vanished(run, Math.min(...times));
      else await this.appeared([...new Set(run.map(({ userId }) => userId))], Math.max(...times));
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
