/** `user.v1.UserService` over a directory. Errors are answered in-band with gRPC status OK. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { unary } from '../common/grpc';
import type { Directory, Member, Profile } from './directory';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;
const MAX_BATCH = 100;

/** UserErrorCode of the contract. */
export const errorCode = {
  none: 0,
  userNotFound: 1,
  groupNotFound: 2,
  invalidRequest: 3,
  tooManyUserIds: 5,
} as const;

const ACTIVE = 1;
const ROLE_MEMBER = 1;

/** The handlers, by method name. */
export function userServiceHandlers(directory: Directory): UntypedServiceImplementation {
  return {
    GetUser: unary((request: { user_id: string }) => getUser(directory, request)),
    BatchGetUsers: unary((request: { user_ids: string[] }) => batchGetUsers(directory, request)),
    GetGroupMembers: unary((request: MembersRequest) => getGroupMembers(directory, request)),
    ValidateGroupMembership: unary((request: { user_id: string; group_id: string }) =>
      validateMembership(directory, request),
    ),
  };
}

interface MembersRequest {
  group_id: string;
  cursor: string;
  limit: number;
}

function failure(code: number, message: string): object {
  return { error_code: code, error_message: message };
}

function getUser(directory: Directory, { user_id }: { user_id: string }): object {
  if (user_id === '') return failure(errorCode.invalidRequest, 'user_id is empty');
  const user = directory.user(user_id);
  if (user === undefined) return failure(errorCode.userNotFound, `there is no user ${user_id}`);
  return { user: profile(user) };
}

function batchGetUsers(directory: Directory, { user_ids }: { user_ids: string[] }): object {
  if (user_ids.length > MAX_BATCH) {
    return failure(errorCode.tooManyUserIds, `${user_ids.length} ids; at most ${MAX_BATCH}`);
  }
  const found = new Map<string, object>();
  const missing = new Set<string>();
  for (const id of user_ids) {
    const user = directory.user(id);
    if (user === undefined || id === '') missing.add(id);
    else found.set(id, profile(user));
  }
  return { users: Object.fromEntries(found), not_found_user_ids: [...missing] };
}

function getGroupMembers(directory: Directory, request: MembersRequest): object {
  const { group_id, cursor, limit } = request;
  if (group_id === '') return failure(errorCode.invalidRequest, 'group_id is empty');
  if (limit < 0) return failure(errorCode.invalidRequest, `limit ${limit} is negative`);
  const groupName = directory.groupName(group_id);
  if (groupName === undefined) {
    return failure(errorCode.groupNotFound, `there is no group ${group_id}`);
  }
  const page = directory.page(group_id, cursor, Math.min(limit || DEFAULT_PAGE, MAX_PAGE));
  if (page === undefined) return failure(errorCode.invalidRequest, `cursor ${cursor} is not ours`);
  return {
    members: page.members.map((member) => groupMember(group_id, groupName, member)),
    next_cursor: page.nextCursor,
    total_count: page.totalCount,
    has_more: page.hasMore,
  };
}

function validateMembership(
  directory: Directory,
  { user_id, group_id }: { user_id: string; group_id: string },
): object {
  if (user_id === '') return failure(errorCode.invalidRequest, 'user_id is empty');
  if (group_id === '') return failure(errorCode.invalidRequest, 'group_id is empty');
  const groupName = directory.groupName(group_id);
  if (groupName === undefined) {
    return failure(errorCode.groupNotFound, `there is no group ${group_id}`);
  }
  const member = directory.member(group_id, user_id);
  if (member !== undefined) {
    return { is_member: true, member: groupMember(group_id, groupName, member) };
  }
  if (directory.user(user_id) === undefined) {
    return failure(errorCode.userNotFound, `there is no user ${user_id}`);
  }
  return { is_member: false };
}

function profile(user: Profile): object {
  return {
    user_id: user.userId,
    username: user.userId,
    display_name: user.displayName,
    avatar_url: user.avatarUrl,
    status: ACTIVE,
    created_at: timestamp(user.createdAt),
    updated_at: timestamp(user.createdAt),
  };
}

function groupMember(groupId: string, groupName: string, member: Member): object {
  return {
    user_id: member.userId,
    group_id: groupId,
    role: ROLE_MEMBER,
    group_display_name: groupName,
    joined_at: timestamp(member.joinedAt),
    is_muted: false,
  };
}

/** google.protobuf.Timestamp of a unix time in ms. */
function timestamp(ms: number): { seconds: number; nanos: number } {
  return { seconds: Math.floor(ms / 1000), nanos: (ms % 1000) * 1_000_000 };
}
