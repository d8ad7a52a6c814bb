/** The members of a group as the user service lists them, page by page. */
import type { Member } from '../../domain/roster';
import { requireNoError, USER_ERROR } from './client';
import type { UserServiceClient, UserServiceResponse } from './client';

/** The most the contract allows. */
const PAGE_SIZE = 1_000;

export interface MemberPage {
  readonly members: readonly Member[];
  /** Of the whole group. */
  readonly totalCount: number;
  readonly hasMore: boolean;
}

/** GroupMember of the user service, as far as we read it. */
export interface WireMember {
  readonly user_id: string;
  readonly joined_at: { readonly seconds: number; readonly nanos: number } | null;
}

interface MembersResponse extends UserServiceResponse {
  readonly members: readonly WireMember[];
  readonly next_cursor: string;
  readonly total_count: number;
  readonly has_more: boolean;
}

/** The user service knows no such group. */
export class NoSuchGroupError extends Error {
  override readonly name = 'NoSuchGroupError';
}

/** The pages of a group; one at least. Throws {@link NoSuchGroupError}. */
export async function* memberPages(
  client: Pick<UserServiceClient, 'call'>,
  groupId: string,
): AsyncGenerator<MemberPage, void, undefined> {
  for (let cursor = ''; ;) {
    const page = await client.call<MembersResponse>('GetGroupMembers', {
      group_id: groupId,
      cursor,
      limit: PAGE_SIZE,
    });
    // An id that is no group's id, by the user service's rules, names no group.
    if (
      page.error_code === USER_ERROR.groupNotFound ||
      page.error_code === USER_ERROR.invalidRequest
    ) {
      throw new NoSuchGroupError('there is no such group');
    }
    requireNoError('GetGroupMembers', page);
    // A cursor that stands still would never end.
    const hasMore = page.has_more && page.next_cursor !== '' && page.next_cursor !== cursor;
    yield { members: page.members.map(toMember), totalCount: page.total_count, hasMore };
    if (!hasMore) return;
    cursor = page.next_cursor;
  }
}

function toMember(member: WireMember): Member {
  return { userId: member.user_id, joinedAt: joinedAtOf(member) };
}

/** Unix ms, 0 when the user service does not say. */
export function joinedAtOf({ joined_at }: WireMember): number {
  return joined_at ? joined_at.seconds * 1_000 + Math.floor(joined_at.nanos / 1e6) : 0;
}
