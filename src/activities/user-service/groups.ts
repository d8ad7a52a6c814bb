/**
 * Who is in which group: what the message path, the worker and REST ask. Answers come from memory in
 * the steady state (see rosters.ts and membership-checks.ts for how they are kept true).
 */
import type { MembershipChange } from '../../domain/roster';
import { ImError, messageOf } from '../../domain/errors';
import { memberPages, NoSuchGroupError } from './group-pages';
import type { MemberPage } from './group-pages';
import { MembershipChecks } from './membership-checks';
import { Rosters } from './rosters';
import type { KnownGroup, RostersOptions } from './rosters';

export class Groups {
  private readonly rosters: Rosters;
  private readonly checks: MembershipChecks;

  constructor(private readonly options: RostersOptions) {
    this.rosters = new Rosters(options);
    this.checks = new MembershipChecks({ ...options, max: options.maxMembers });
  }

  /**
   * How many members the group has, the user being one of them. Throws INVALID_RECIPIENT when there is
   * no such group or the user is not in it, SERVICE_UNAVAILABLE when that cannot be told.
   */
  async requireMember(groupId: string, userId: string): Promise<number> {
    const group = await this.rosters.find(groupId);
    if (!group) throw new ImError('INVALID_RECIPIENT', 'the group does not exist');
    if ((await this.sinceIn(group, groupId, userId)) === undefined) {
      throw new ImError('INVALID_RECIPIENT', 'the sender is not a member of the group');
    }
    return group.memberCount;
  }

  /**
   * Since when the user is a member (unix ms, 0 when that is not known); `undefined` for who is none.
   * Rejects with SERVICE_UNAVAILABLE when that cannot be told.
   */
  async memberSince(groupId: string, userId: string): Promise<number | undefined> {
    const group = await this.rosters.find(groupId);
    return group && this.sinceIn(group, groupId, userId);
  }

  /**
   * The members at a time (unix ms); `large` for a group that has too many to be listed, none for a
   * group that is gone. Rejects with SERVICE_UNAVAILABLE when that cannot be told.
   */
  async membersAt(groupId: string, time: number): Promise<string[] | 'large'> {
    const group = await this.rosters.find(groupId);
    if (!group) return [];
    return group.roster ? group.roster.membersAt(time) : 'large';
  }

  /**
   * The members from the user service itself, page by page: never a large group in memory at once;
   * none of a group that is gone.
   * Rejects with SERVICE_UNAVAILABLE.
   */
  async *pages(groupId: string): AsyncGenerator<MemberPage, void, undefined> {
    try {
      yield* memberPages(this.options.client, groupId);
    } catch (error) {
      if (error instanceof NoSuchGroupError) return;
      throw new ImError('SERVICE_UNAVAILABLE', 'the members cannot be read', { cause: error });
    }
  }

  /** A join or a leave that Kafka told of. */
  apply(change: MembershipChange): void {
    this.rosters.apply(change);
    this.checks.apply(change);
  }

  /** Changes may have been missed. */
  distrust(): void {
    this.rosters.distrust();
    this.checks.distrust();
  }

  private async sinceIn(
    group: KnownGroup,
    groupId: string,
    userId: string,
  ): Promise<number | undefined> {
    const since = group.roster?.joinedAt(userId);
    if (since !== undefined) return since;
    if (!group.roster) return this.checks.memberSince(groupId, userId);
    // They may have just joined: the user service knows before Kafka has told us.
    try {
      const joinedAt = await this.checks.memberSince(groupId, userId);
      if (joinedAt !== undefined) {
        const at = joinedAt || this.options.now();
        this.rosters.apply({ groupId, userId, type: 'join', at });
      }
      return joinedAt;
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'believing the last known members');
      return undefined;
    }
  }
}
