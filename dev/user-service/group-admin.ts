/** Changes of groups: the directory first, then the events that tell the others. */
import { within } from '../common/wait';
import type { Directory, MembershipDiff } from './directory';
import { HttpFailure } from './http-failure';
import type { MembershipEvents } from './membership-events';

/** How long an answer waits for Kafka before it says that the events are still on their way. */
const ACKNOWLEDGE_MS = 5_000;

/** What a change did, and whether the others have been told. */
export interface ChangeReport {
  group_id: string;
  member_count: number;
  joined: number;
  left: number;
  events: 'published' | 'pending';
}

export class GroupAdmin {
  constructor(
    readonly directory: Directory,
    private readonly events: MembershipEvents,
    private readonly now: () => number,
  ) {}

  describe(groupId: string, cursor: string, limit: number): object {
    const displayName = this.existing(groupId);
    const page = this.directory.page(groupId, cursor, limit);
    if (page === undefined) throw new HttpFailure(400, 'cursor is not one of ours');
    return {
      group_id: groupId,
      display_name: displayName,
      member_count: page.totalCount,
      members: page.members.map(({ userId, joinedAt }) => ({
        user_id: userId,
        joined_at: joinedAt,
      })),
      next_cursor: page.nextCursor,
      has_more: page.hasMore,
    };
  }

  putGroup(groupId: string, displayName?: string, members?: string[]): Promise<ChangeReport> {
    this.requireRoom(this.directory.size(groupId) + (members?.length ?? 0));
    this.directory.putGroup(groupId, displayName);
    const diff = members && this.directory.setMembers(groupId, members);
    return this.announce(groupId, diff ?? { joined: [], left: [] });
  }

  async removeGroup(groupId: string): Promise<ChangeReport> {
    this.existing(groupId);
    this.requireRoom(this.directory.size(groupId));
    const diff = this.directory.removeGroup(groupId);
    return this.announce(groupId, diff ?? { joined: [], left: [] });
  }

  async setMembers(groupId: string, members: string[]): Promise<ChangeReport> {
    this.existing(groupId);
    this.requireRoom(this.directory.size(groupId) + members.length);
    return this.announce(groupId, this.directory.setMembers(groupId, members));
  }

  async addMember(groupId: string, userId: string): Promise<ChangeReport> {
    this.existing(groupId);
    this.requireRoom(1);
    const joined = this.directory.addMember(groupId, userId) ? [userId] : [];
    return this.announce(groupId, { joined, left: [] });
  }

  async removeMember(groupId: string, userId: string): Promise<ChangeReport> {
    this.existing(groupId);
    this.requireRoom(1);
    if (!this.directory.removeMember(groupId, userId)) {
      throw new HttpFailure(404, `${userId} is not a member of ${groupId}`);
    }
    return this.announce(groupId, { joined: [], left: [userId] });
  }

  private existing(groupId: string): string {
    const displayName = this.directory.groupName(groupId);
    if (displayName === undefined) throw new HttpFailure(404, `there is no group ${groupId}`);
    return displayName;
  }

  /** Refuses before anything is changed, so that no change goes untold. */
  private requireRoom(events: number): void {
    if (!this.events.hasRoomFor(events)) {
      throw new HttpFailure(503, 'too many membership events wait for Kafka; try again later');
    }
  }

  private async announce(groupId: string, { joined, left }: MembershipDiff): Promise<ChangeReport> {
    const timestamp = this.now();
    const event = (event_type: 'join' | 'leave') => (user_id: string) => {
      return { group_id: groupId, user_id, event_type, timestamp };
    };
    const report = {
      group_id: groupId,
      member_count: this.directory.size(groupId),
      joined: joined.length,
      left: left.length,
    };
    const told = this.events.publish([...left.map(event('leave')), ...joined.map(event('join'))]);
    return within(ACKNOWLEDGE_MS, 'publishing', told).then(
      () => ({ ...report, events: 'published' }),
      () => ({ ...report, events: 'pending' }),
    );
  }
}
