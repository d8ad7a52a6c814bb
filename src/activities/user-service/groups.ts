/**
 * Who is in which group: what the message path, the worker and REST ask. Answers come from memory in
 * the steady state (see rosters.ts and membership-checks.ts for how they are kept true).
 */
import type { MembershipChange } from '../../domain/roster';
import { ImError, messageOf } from '../../domain/errors';
import { memberPages } from './group-pages';
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
    if (!(await this.isIn(group, groupId, userId))) {
      throw new ImError('INVALID_RECIPIENT', 'the sender is not a member of the group');
    }
    return group.memberCount;
  }

  /** Whether the user is a member. Rejects with SERVICE_UNAVAILABLE when that cannot be told. */
  async isMember(groupId: string, userId: string): Promise<boolean> {
    const group = await this.rosters.find(groupId);
    return group !== undefined && this.isIn(group, groupId, userId);
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

  /** The members from the user service itself, page by page: never a large group in memory at once. */
  pages(groupId: string): AsyncGenerator<MemberPage, void, undefined> {
    return memberPages(this.options.client, groupId);
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

  private async isIn(group: KnownGroup, groupId: string, userId: string): Promise<boolean> {
    if (!group.roster) return this.checks.isMember(groupId, userId);
    if (group.roster.has(userId)) return true;
    // They may have just joined: the user service knows before Kafka has told us.
    try {
      const isMember = await this.checks.isMember(groupId, userId);
      if (isMember) this.rosters.apply({ groupId, userId, type: 'join', at: this.options.now() });
      return isMember;
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'believing the last known members');
      return false;
    }
  }
}
