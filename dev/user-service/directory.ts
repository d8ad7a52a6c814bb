/** Who exists and who is in which group: plain memory, no I/O. The clock is passed in. */

export interface Profile {
  userId: string;
  displayName: string;
  avatarUrl: string;
  createdAt: number;
}

export interface Member {
  readonly userId: string;
  readonly joinedAt: number;
  /** Grows with each join of the group: the order of pages, and the cursor between them. */
  readonly ordinal: number;
}

export interface MemberPage {
  members: Member[];
  nextCursor: string;
  totalCount: number;
  hasMore: boolean;
}

/** Who came and who went in one change of a group. */
export interface MembershipDiff {
  joined: string[];
  left: string[];
}

interface Group {
  displayName: string;
  byUser: Map<string, Member>;
  /** The same members by ordinal, so that a page is found by binary search in a group of 100,000. */
  ordered: Member[];
  lastOrdinal: number;
}

export class Directory {
  private readonly groups = new Map<string, Group>();
  private readonly added = new Map<string, Profile>();

  constructor(private readonly now: () => number) {}

  /** Any id exists, except those that start with `unknown` and were not added by hand. */
  user(userId: string): Profile | undefined {
    const added = this.added.get(userId);
    if (added !== undefined) return added;
    if (userId.startsWith('unknown')) return undefined;
    return { userId, displayName: userId, avatarUrl: '', createdAt: 0 };
  }

  addUser(userId: string, displayName: string, avatarUrl: string): void {
    this.added.set(userId, { userId, displayName, avatarUrl, createdAt: this.now() });
  }

  removeUser(userId: string): boolean {
    return this.added.delete(userId);
  }

  groupSizes(): Record<string, number> {
    return Object.fromEntries([...this.groups].map(([id, group]) => [id, group.ordered.length]));
  }

  /** The group's display name, or undefined when there is no such group. */
  groupName(groupId: string): string | undefined {
    return this.groups.get(groupId)?.displayName;
  }

  size(groupId: string): number {
    return this.groups.get(groupId)?.ordered.length ?? 0;
  }

  /** Creates the group if need be; a name that is given replaces the old one. */
  putGroup(groupId: string, displayName?: string): void {
    const group = this.groups.get(groupId);
    if (group === undefined) {
      const name = displayName ?? groupId;
      this.groups.set(groupId, {
        displayName: name,
        byUser: new Map(),
        ordered: [],
        lastOrdinal: 0,
      });
    } else if (displayName !== undefined) {
      group.displayName = displayName;
    }
  }

  removeGroup(groupId: string): MembershipDiff | undefined {
    const group = this.groups.get(groupId);
    if (group === undefined) return undefined;
    this.groups.delete(groupId);
    return { joined: [], left: [...group.byUser.keys()] };
  }

  /** Makes the members exactly these; who stays keeps their place and their date. */
  setMembers(groupId: string, userIds: Iterable<string>): MembershipDiff {
    const wanted = new Set(userIds);
    const left = [...this.require(groupId).byUser.keys()].filter((userId) => !wanted.has(userId));
    const group = this.require(groupId);
    for (const userId of left) group.byUser.delete(userId);
    group.ordered = group.ordered.filter((member) => wanted.has(member.userId));
    const joined = [...wanted].filter((userId) => this.addMember(groupId, userId));
    return { joined, left };
  }

  /** False when they were a member already. */
  addMember(groupId: string, userId: string): boolean {
    const group = this.require(groupId);
    if (group.byUser.has(userId)) return false;
    group.lastOrdinal += 1;
    const member = { userId, joinedAt: this.now(), ordinal: group.lastOrdinal };
    group.byUser.set(userId, member);
    group.ordered.push(member);
    return true;
  }

  /** False when they were not a member. */
  removeMember(groupId: string, userId: string): boolean {
    const group = this.require(groupId);
    const member = group.byUser.get(userId);
    if (member === undefined) return false;
    group.byUser.delete(userId);
    group.ordered.splice(firstAfter(group.ordered, member.ordinal - 1), 1);
    return true;
  }

  member(groupId: string, userId: string): Member | undefined {
    return this.groups.get(groupId)?.byUser.get(userId);
  }

  /**
   * The members who joined after the cursor. A cursor is the ordinal of the last member seen, so it stays
   * right when members come and go between two pages. Undefined when it is not one of ours.
   */
  page(groupId: string, cursor: string, limit: number): MemberPage | undefined {
    const { ordered } = this.require(groupId);
    if (!/^\d{0,15}$/.test(cursor)) return undefined;
    const start = firstAfter(ordered, Number(cursor));
    const members = ordered.slice(start, start + limit);
    const hasMore = start + members.length < ordered.length;
    const nextCursor = hasMore ? String(members.at(-1)?.ordinal) : '';
    return { members, nextCursor, totalCount: ordered.length, hasMore };
  }

  private require(groupId: string): Group {
    const group = this.groups.get(groupId);
    if (group === undefined) throw new Error(`there is no group ${groupId}`);
    return group;
  }
}

/** The index of the first member whose ordinal is greater. */
function firstAfter(ordered: readonly Member[], ordinal: number): number {
  let low = 0;
  let high = ordered.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const member = ordered[middle];
    if (member !== undefined && member.ordinal <= ordinal) low = middle + 1;
    else high = middle;
  }
  return low;
}
