/**
 * The groups a process knows: their members, or of a large group only how many it has.
 *
 * Read from the user service by page when first asked for, corrected by `membership_change` (also
 * while being read), read anew in the background when old. While the user service is away what was
 * known last serves, with a metric. Bounded by the members of all groups together.
 */
import { LRUCache } from 'lru-cache';
import { ImError, messageOf } from '../../domain/errors';
import { Roster } from '../../domain/roster';
import type { MembershipChange } from '../../domain/roster';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import type { UserServiceClient } from './client';
import { memberPages, NoSuchGroupError } from './group-pages';

/** How long "there is no such group" is remembered, ms: short, it may be just being made. */
const ABSENT_TTL_MS = 2_000;
/** Groups remembered not to exist. */
const MAX_ABSENT = 10_000;
/** How long changes of groups that nobody has asked for are remembered, ms, and how many at most. */
const UNASKED_TTL_MS = 10 * 60_000;
const MAX_UNASKED = 200_000;
/** Pause before the user service is asked again after a refresh that failed, ms. */
const RETRY_MS = 2_000;
/** What a group costs beside its members, counted in members. */
const GROUP_WEIGHT = 10;

export interface RostersOptions {
  readonly client: Pick<UserServiceClient, 'call'>;
  /** From so many members on a group is large: its members are not kept. */
  readonly fanoutMax: number;
  /** Members remembered, of all groups together. */
  readonly maxMembers: number;
  /** How old an answer may be before it is read anew in the background, ms. */
  readonly refreshMs: number;
  readonly now: () => number;
  readonly log: Logger;
  readonly metrics: Metrics;
}

/** A group with all its members, or a large one. */
export interface KnownGroup {
  /** `undefined` for a large group. */
  readonly roster: Roster | undefined;
  readonly memberCount: number;
}

class Entry implements KnownGroup {
  constructor(
    readonly roster: Roster | undefined,
    private count: number,
    public freshUntil: number,
  ) {}

  get memberCount(): number {
    return this.roster?.size ?? this.count;
  }

  get weight(): number {
    return weightOf(this.roster);
  }

  apply(change: MembershipChange): void {
    if (this.roster) this.roster.apply(change);
    // Of a large group nothing tells whether the count has this change in it; the refresh does.
    else this.count = Math.max(0, this.count + (change.type === 'join' ? 1 : -1));
  }
}

function weightOf(roster: Roster | undefined): number {
  return (roster?.remembered ?? 0) + GROUP_WEIGHT;
}

/** Sets what may have grown: a value that is there already would keep the weight it had. */
function setAnew<V extends object>(cache: LRUCache<string, V>, key: string, value: V): void {
  cache.delete(key);
  cache.set(key, value);
}

interface Reading {
  readonly entry: Promise<Entry | undefined>;
  /** The last change of each user while the pages were read: some of them are older than that. */
  readonly changes: Map<string, MembershipChange>;
}

export class Rosters {
  private readonly known: LRUCache<string, Entry>;
  /** Group id → until when it is believed not to exist, unix ms. */
  private readonly absent = new LRUCache<string, number>({ max: MAX_ABSENT });
  private readonly reading = new Map<string, Reading>();
  /** Who joined and left groups that are not known. */
  private readonly unasked = new LRUCache<string, Roster>({
    maxSize: MAX_UNASKED,
    sizeCalculation: weightOf,
    ttl: UNASKED_TTL_MS,
  });

  constructor(private readonly options: RostersOptions) {
    this.known = new LRUCache({
      maxSize: options.maxMembers,
      sizeCalculation: (entry) => entry.weight,
    });
  }

  /**
   * The group, `undefined` when there is none. SERVICE_UNAVAILABLE when it is not known and the user
   * service is away.
   */
  async find(groupId: string): Promise<KnownGroup | undefined> {
    const { now } = this.options;
    const entry = this.known.get(groupId);
    if (!entry) {
      if ((this.absent.get(groupId) ?? 0) > now()) return undefined;
      return this.read(groupId);
    }
    if (entry.freshUntil < now()) void this.refresh(groupId, entry);
    return entry;
  }

  /** A join or a leave that Kafka told of. */
  apply(change: MembershipChange): void {
    const { groupId, userId, type } = change;
    this.reading.get(groupId)?.changes.set(userId, change);
    if (type === 'join') this.absent.delete(groupId);
    const entry = this.known.peek(groupId);
    if (!entry) {
      const roster = this.unasked.get(groupId) ?? new Roster();
      roster.applyUnlisted(change);
      setAnew(this.unasked, groupId, roster);
      return;
    }
    entry.apply(change);
    const { memberCount } = entry;
    const hasGrownLarge = entry.roster && memberCount >= this.options.fanoutMax;
    setAnew(this.known, groupId, hasGrownLarge ? new Entry(undefined, memberCount, 0) : entry);
  }

  /** Changes may have been missed: everything known is read anew when next asked for. */
  distrust(): void {
    for (const entry of this.known.values()) entry.freshUntil = 0;
  }

  private async refresh(groupId: string, entry: Entry): Promise<void> {
    // Nobody else begins while this one is under way.
    entry.freshUntil = this.options.now() + RETRY_MS;
    try {
      await this.read(groupId);
    } catch (error) {
      this.options.metrics.userServiceStale.inc();
      this.options.log.debug({ err: messageOf(error) }, 'serving the last known members');
    }
  }

  private read(groupId: string): Promise<Entry | undefined> {
    const running = this.reading.get(groupId);
    if (running) return running.entry;
    const changes = new Map<string, MembershipChange>();
    const entry = this.readPages(groupId, changes).finally(() => this.reading.delete(groupId));
    this.reading.set(groupId, { entry, changes });
    return entry;
  }

  private async readPages(
    groupId: string,
    changes: ReadonlyMap<string, MembershipChange>,
  ): Promise<Entry | undefined> {
    const { client, fanoutMax, refreshMs, now } = this.options;
    const freshUntil = now() + refreshMs;
    try {
      const roster = new Roster();
      for await (const page of memberPages(client, groupId)) {
        for (const member of page.members) roster.add(member);
        const count = Math.max(page.totalCount, roster.size);
        if (count >= fanoutMax) return this.keep(groupId, new Entry(undefined, count, freshUntil));
      }
      const before = this.known.peek(groupId);
      const earlier = before?.roster ?? this.unasked.get(groupId);
      if (earlier) roster.inherit(earlier);
      for (const change of changes.values()) roster.apply(change);
      return this.keep(groupId, new Entry(roster, roster.size, freshUntil));
    } catch (error) {
      if (!(error instanceof NoSuchGroupError)) {
        const detail = 'the user service is unavailable';
        throw new ImError('SERVICE_UNAVAILABLE', detail, { cause: error });
      }
      this.known.delete(groupId);
      this.absent.set(groupId, now() + ABSENT_TTL_MS);
      return undefined;
    }
  }

  private keep(groupId: string, entry: Entry): Entry {
    this.known.set(groupId, entry);
    this.unasked.delete(groupId);
    return entry;
  }
}
