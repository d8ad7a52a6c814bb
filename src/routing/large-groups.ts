/**
 * Which groups are large, and how one becomes so: all its members are written down once, page by page.
 * Once large a group stays so, also when it shrinks: reading from a position is right at any size.
 */
import { LRUCache } from 'lru-cache';
import type { Presence, PresenceAnswer } from '../activities/etcd/presence';
import type { GroupStays } from '../activities/mysql/group-stays';
import type { Groups } from '../activities/user-service/groups';
import type { MembershipChange } from '../domain/roster';
import type { Logger } from '../logger';

/** Groups remembered, large or not. */
const MAX_REMEMBERED = 100_000;
/** How long "not large" is believed, ms: another worker may have had the group meanwhile. */
const SMALL_TTL_MS = 5_000;

export interface LargeGroupsDeps {
  readonly groups: Pick<Groups, 'pages'>;
  readonly stays: GroupStays;
  readonly presence: Pick<Presence, 'lookup' | 'lookupMany'>;
  readonly now: () => number;
  readonly log: Logger;
}

export class LargeGroups {
  /** Group id → until when it is believed to be small, unix ms; `Infinity`: it is large. */
  private readonly known = new LRUCache<string, number>({ max: MAX_REMEMBERED });

  constructor(private readonly deps: LargeGroupsDeps) {}

  async isLarge(groupId: string): Promise<boolean> {
    const { stays, now } = this.deps;
    const until = this.known.get(groupId) ?? 0;
    if (until === Infinity) return true;
    if (until > now()) return false;
    const isLarge = await stays.isActive(groupId);
    this.known.set(groupId, isLarge ? Infinity : now() + SMALL_TTL_MS);
    return isLarge;
  }

  /**
   * Makes a group large as of now. May be repeated: an attempt that was cut short is gone on with. What
   * changes meanwhile is written down by {@link apply} as it is told.
   */
  async makeLarge(groupId: string): Promise<void> {
    const { groups, stays, presence, now, log } = this.deps;
    const began = now();
    await stays.begin(groupId);
    for await (const { members } of groups.pages(groupId)) {
      const answers = await presence.lookupMany(members.map(({ userId }) => userId));
      const first = members.map((member) => ({
        ...member,
        presentSince: presentSince(answers.get(member.userId)),
      }));
      await stays.add(groupId, first);
    }
    await stays.activate(groupId, now());
    this.known.set(groupId, Infinity);
    log.info({ groupId, ms: now() - began }, 'the group is a large one now');
  }

  /** Writes down joins and leaves, in their order. */
  async apply(changes: readonly MembershipChange[]): Promise<void> {
    const { stays, presence } = this.deps;
    for (const change of await stays.relevant(changes)) {
      const answer = change.type === 'join' ? await presence.lookup(change.userId) : undefined;
      await stays.apply(change, presentSince(answer));
    }
  }
}

/** Unix ms since when the user is there; 0 for one who is not, or may not be. */
function presentSince(answer: PresenceAnswer | undefined): number {
  if (!answer?.certain || answer.devices.length === 0) return 0;
  return Math.max(1, Math.min(...answer.devices.map(({ connectedAt }) => connectedAt)) * 1_000);
}
