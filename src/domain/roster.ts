/** The members of one group and since when, corrected by joins and leaves. Times are unix ms. */

/** One record of `membership_change` (contracts.md). */
export interface MembershipChange {
  readonly groupId: string;
  readonly userId: string;
  readonly type: 'join' | 'leave';
  readonly at: number;
}

export interface Member {
  readonly userId: string;
  /** 0 when the user service does not say. */
  readonly joinedAt: number;
}

interface Span {
  readonly joinedAt: number;
  readonly leftAt: number;
}

/** Former members remembered for messages sent before they left; beyond it the longest gone are dropped. */
const MAX_FORMER = 1_000;

/**
 * Who is a member, and who was at the time of a message that comes late: it is for those who were
 * members when it was sent, also if they have left since, and not for those who joined after it.
 *
 * Changes carry their time, so that an old one, told again or late, undoes nothing newer.
 */
export class Roster {
  private readonly members = new Map<string, number>();
  private readonly former = new Map<string, Span>();

  get size(): number {
    return this.members.size;
  }

  /** Users who are or were members, as far as it is known. */
  get remembered(): number {
    return this.members.size + this.former.size;
  }

  /** When the user joined, 0 when that is not known; `undefined` for who is no member. */
  joinedAt(userId: string): number | undefined {
    return this.members.get(userId);
  }

  /** Adds a member as the user service lists them. */
  add({ userId, joinedAt }: Member): void {
    this.members.set(userId, joinedAt);
  }

  apply({ userId, type, at }: MembershipChange): void {
    const joinedAt = this.members.get(userId);
    if (type === 'join') {
      if (joinedAt !== undefined || at < (this.former.get(userId)?.leftAt ?? 0)) return;
      this.members.set(userId, at);
      return;
    }
    if (joinedAt === undefined || at < joinedAt) return;
    this.members.delete(userId);
    // Set anew, so that the order of the map is the order of the leaves.
    this.former.delete(userId);
    this.former.set(userId, { joinedAt, leftAt: at });
    if (this.former.size > MAX_FORMER) this.dropOldestFormer();
  }

  /** {@link apply} where the members are not listed yet: also who is not known to have joined leaves. */
  applyUnlisted(change: MembershipChange): void {
    const { userId, type, at } = change;
    const isNews = !this.members.has(userId) && at > (this.former.get(userId)?.leftAt ?? 0);
    if (type === 'leave' && isNews) this.add({ userId, joinedAt: 0 });
    this.apply(change);
  }

  /** Takes over who left, from an older reading of the same group. */
  inherit(older: Roster): void {
    for (const [userId, span] of older.former) this.former.set(userId, span);
  }

  /** The members at a time. */
  membersAt(time: number): string[] {
    const found: string[] = [];
    for (const [userId, joinedAt] of this.members) if (joinedAt <= time) found.push(userId);
    for (const [userId, { joinedAt, leftAt }] of this.former) {
      const since = this.members.get(userId);
      const isListed = since !== undefined && since <= time;
      if (!isListed && joinedAt <= time && time < leftAt) found.push(userId);
    }
    return found;
  }

  private dropOldestFormer(): void {
    for (const userId of this.former.keys()) {
      this.former.delete(userId);
      return;
    }
  }
}
