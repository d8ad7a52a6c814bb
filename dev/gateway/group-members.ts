/**
 * Who is in which group, as far as this gateway needs to know: read from the user service by page, kept in a
 * bounded cache, corrected by `membership_change`, refreshed when it gets old. When the user service is away
 * the last known members are good enough.
 */
import type { Client } from '@grpc/grpc-js';
import { LRUCache } from 'lru-cache';
import type { Logger } from 'pino';
import { call } from '../common/grpc';
import type { MembershipChange } from '../common/kafka';

const PAGE = 1000;
const PAGE_DEADLINE_MS = 2_000;
/** Members over all groups: some 100 MB at the very most. */
const MAX_CACHED_MEMBERS = 1_000_000;
/** A correction that was lost (a topic without this gateway's offset) does not live longer than this. */
const REFRESH_MS = 60_000;

interface MembersResponse {
  members: { user_id: string }[];
  next_cursor: string;
  has_more: boolean;
  error_code: number;
  error_message: string;
}

interface Known {
  members: Set<string>;
  readAt: number;
}

interface Reading {
  result: Promise<Set<string>>;
  /** What changed while the pages were read: some of them are older than that. */
  changes: MembershipChange[];
}

export class GroupMembers {
  private readonly known = new LRUCache<string, Known>({
    maxSize: MAX_CACHED_MEMBERS,
    sizeCalculation: ({ members }) => members.size + 1,
  });
  private readonly reading = new Map<string, Reading>();

  constructor(
    private readonly userService: Client,
    private readonly log: Logger,
    private readonly now: () => number,
  ) {}

  /** The members now; rejects when the group is not known and the user service does not answer. */
  async of(groupId: string): Promise<ReadonlySet<string>> {
    const known = this.known.get(groupId);
    if (known !== undefined && this.now() - known.readAt < REFRESH_MS) return known.members;
    try {
      return await this.read(groupId);
    } catch (error) {
      if (known === undefined) throw error;
      this.log.warn({ groupId, reason: String(error) }, 'serving the last known members');
      return known.members;
    }
  }

  /** A join or a leave that Kafka told of. */
  apply(change: MembershipChange): void {
    this.reading.get(change.group_id)?.changes.push(change);
    const known = this.known.get(change.group_id);
    if (known === undefined) return;
    applyTo(known.members, change);
    this.known.set(change.group_id, { ...known }); // weighs it anew
  }

  private read(groupId: string): Promise<Set<string>> {
    const running = this.reading.get(groupId);
    if (running !== undefined) return running.result;
    const changes: MembershipChange[] = [];
    const result = this.readPages(groupId)
      .then((members) => {
        for (const change of changes) applyTo(members, change);
        this.known.set(groupId, { members, readAt: this.now() });
        return members;
      })
      .finally(() => this.reading.delete(groupId));
    this.reading.set(groupId, { result, changes });
    return result;
  }

  private async readPages(groupId: string): Promise<Set<string>> {
    const members = new Set<string>();
    let cursor = '';
    for (;;) {
      const request = { group_id: groupId, cursor, limit: PAGE };
      const page = await call<MembersResponse>(
        this.userService,
        'GetGroupMembers',
        request,
        PAGE_DEADLINE_MS,
      );
      if (page.error_code !== 0) throw new Error(`${groupId}: ${page.error_message}`);
      for (const { user_id } of page.members) members.add(user_id);
      if (!page.has_more || page.next_cursor === cursor) return members;
      cursor = page.next_cursor;
    }
  }
}

function applyTo(members: Set<string>, change: MembershipChange): void {
  if (change.event_type === 'join') members.add(change.user_id);
  else members.delete(change.user_id);
}
