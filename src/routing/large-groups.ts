/**
 * Which groups are large, and how one becomes so: all its members are written down once, page by page.
 * Once large a group stays so, also when it shrinks: reading from a position is right at any size.
 */
import { LRUCache } from 'lru-cache';
import type { Presence } from '../activities/etcd/presence';
import type { GroupReaders } from '../activities/mysql/group-readers';
import type { FirstMember, GroupStays } from '../activities/mysql/group-stays';
import type { Groups } from '../activities/user-service/groups';
import type { ErasedView } from '../domain/erasure';
import type { Member, MembershipChange } from '../domain/roster';
import type { Logger } from '../logger';
import { presentSince } from './attendance';

/** Groups remembered, large or not. */
const MAX_REMEMBERED = 100_000;
/** How long "not large" is believed, ms: another worker may have had the group meanwhile. */
const SMALL_TTL_MS = 5_000;

export interface LargeGroupsDeps {
  readonly groups: Pick<Groups, 'pages'>;
  readonly stays: GroupStays;
  readonly readers: Pick<GroupReaders, 'settle'>;
  readonly presence: Pick<Presence, 'lookupMany' | 'arrivedAt'>;
  /** They are members no more, whatever is told. */
  readonly erased: Pick<ErasedView, 'has'>;
  /** Called with members who are present, and for whom something of before they came waits. */
  readonly onAwoken: (userIds: Iterable<string>) => void;
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
    const { groups, stays, now, log } = this.deps;
    const began = now();
    await stays.begin(groupId);
    for await (const { members } of groups.pages(groupId)) {
      await stays.add(groupId, await this.withPresence(members));
    }
    await stays.activate(groupId, now());
    this.known.set(groupId, Infinity);
    log.info({ groupId, ms: now() - began }, 'the group is a large one now');
  }

  /**
   * Writes down what changed in a large group without our hearing of it since a time (unix ms); false when
   * it was cut short. Who is gone counts as gone since then: nobody knows better, and what was sent after
   * they left is not for them.
   */
  async readAnew(groupId: string, since: number, stopping: AbortSignal): Promise<boolean> {
    const { groups, stays, now, log } = this.deps;
    const began = now();
    const listed = new Set<string>();
    for await (const { members } of groups.pages(groupId)) {
      if (stopping.aborted) return false;
      for (const { userId } of members) listed.add(userId);
      const rejoined = members.filter(({ joinedAt }) => joinedAt > since);
      await stays.endBefore(groupId, usersOf(rejoined), since, since + 1);
      const joins = members.map(({ userId, joinedAt }) => ({
        userId,
        joinedAt: joinedAt || since,
      }));
      await this.join(groupId, joins);
    }
    for (let after: string | undefined = ''; after !== undefined;) {
      const page = await stays.openPage(groupId, after);
      const gone = page.filter((userId) => !listed.has(userId));
      // Of those who have joined since we began the news is under way.
      await stays.endBefore(groupId, gone, since, began);
      after = page.at(-1);
    }
    log.info({ groupId, members: listed.size }, 'the members were read anew');
    return true;
  }

  /** Without users who were erased: they are members no more, whatever is told. */
  private async withPresence(all: readonly Member[]): Promise<FirstMember[]> {
    const members = all.filter(({ userId }) => !this.deps.erased.has(userId));
    const { presence, now } = this.deps;
    const asked = now();
    const answers = await presence.lookupMany(usersOf(members));
    const looked = { asked, answered: now() };
    return members.map((member) => {
      const arrivedAt = presence.arrivedAt(member.userId);
      return {
        ...member,
        presentSince: presentSince(answers.get(member.userId), arrivedAt, looked),
      };
    });
  }

  /** Writes down joins and leaves, in their order. */
  async apply(changes: readonly MembershipChange[]): Promise<void> {
    const { stays } = this.deps;
    for (const run of runsOf(await stays.relevant(changes))) {
      const [{ groupId, type }] = run;
      if (type === 'leave') {
        await stays.leave(groupId, run);
        continue;
      }
      const joins = run.map(({ userId, at }) => ({ userId, joinedAt: at }));
      await this.join(groupId, joins);
    }
  }

  /**
   * Who joined and appeared before we heard of the join may have missed what was sent between: it was
   * not theirs when they appeared, and nobody looks again while they stay.
   */
  private async join(groupId: string, joins: readonly Member[]): Promise<void> {
    const { stays, readers, onAwoken } = this.deps;
    const doubtful = await stays.join(groupId, await this.withPresence(joins));
    if (doubtful.length > 0) onAwoken(await readers.settle(doubtful));
  }
}

function usersOf(members: readonly Member[]): string[] {
  return members.map(({ userId }) => userId);
}

type Run = [MembershipChange, ...MembershipChange[]];

/** The changes in pieces that can be written together: of one group and kind, and of different users. */
function runsOf(changes: readonly MembershipChange[]): Run[] {
  const runs: Run[] = [];
  const users = new Set<string>();
  for (const change of changes) {
    const last = runs.at(-1);
    const goesOn = last?.[0].groupId === change.groupId && last[0].type === change.type;
    if (last && goesOn && !users.has(change.userId)) {
      last.push(change);
    } else {
      runs.push([change]);
      users.clear();
    }
    users.add(change.userId);
  }
  return runs;
}
