/**
 * Rules for ids and the names of conversations.
 *
 * `/` is forbidden in every id, so `lower/higher` names a private conversation without ambiguity,
 * which the public `lower_higher` does not: (`a_b`, `c`) and (`a`, `b_c`) both read `a_b_c`.
 * Whatever we key or authorize uses {@link Conversation.key}; `conversation_id` is only shown.
 */

/** Bytes of UTF-8 in a user or group id; twice this and a slash fits a 3,072-byte InnoDB key. */
export const MAX_USER_ID_BYTES = 128;
/** Bytes of UTF-8 in a message id. */
export const MAX_MESSAGE_ID_BYTES = 128;

export type ConversationType = 'private' | 'group';

export interface Conversation {
  readonly type: ConversationType;
  /** Ours: unambiguous within its type. */
  readonly key: string;
  /** The neighbours': two sorted user ids joined by `_`, or the group id. */
  readonly id: string;
}

// Control, format-breaking and unassigned-surrogate characters make ids that look alike or break logs.
const FORBIDDEN = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}/\uFFFD]/u;
// MySQL's utf8mb4_bin pads with spaces when it compares: "x" and "x " would be one id.
const OUTER_SPACE = /^\s|\s$/u;

// What nearly every id is made of, and nothing is wrong with: looked at first, because it is cheap.
const PLAIN = /^[\w.:@-]+$/;

/** What is wrong with an id, as words for the caller, or `undefined`. */
export function idProblem(id: string, maxBytes: number): string | undefined {
  if (id.length <= maxBytes && PLAIN.test(id)) return undefined;
  if (id === '') return 'is empty';
  if (Buffer.byteLength(id) > maxBytes) return `is longer than ${maxBytes} bytes`;
  if (FORBIDDEN.test(id)) return 'contains "/", a control character or invalid UTF-8';
  if (OUTER_SPACE.test(id)) return 'begins or ends with white space';
  return undefined;
}

/** The conversation of two users, the same whoever sends. */
export function privateConversation(a: string, b: string): Conversation {
  const [low, high] = compareCodePoints(a, b) <= 0 ? [a, b] : [b, a];
  return { type: 'private', key: `${low}/${high}`, id: `${low}_${high}` };
}

/** The conversation of a group. */
export function groupConversation(groupId: string): Conversation {
  return { type: 'group', key: groupId, id: groupId };
}

/** The conversation of a stored key. */
export function conversationOf(type: ConversationType, key: string): Conversation {
  return { type, key, id: type === 'private' ? key.replace('/', '_') : key };
}

/** The users of a private conversation. */
export function usersOf(conversation: Pick<Conversation, 'type' | 'key'>): readonly string[] {
  return conversation.type === 'private' ? conversation.key.split('/') : [];
}

/**
 * The private conversations of `userId` that are shown as `id`: usually one, but `a_b_a_b_a` is
 * shown to `a_b_a` for their conversation with `a_b` and for that with `b_a`.
 */
export function privateConversationsShownAs(id: string, userId: string): Conversation[] {
  const others = [
    id.startsWith(`${userId}_`) ? id.slice(userId.length + 1) : '',
    id.endsWith(`_${userId}`) ? id.slice(0, -userId.length - 1) : '',
  ];
  const found = others
    .filter((other) => idProblem(other, MAX_USER_ID_BYTES) === undefined && other !== userId)
    .map((other) => privateConversation(userId, other))
    .filter((conversation) => conversation.id === id);
  return [...new Map(found.map((conversation) => [conversation.key, conversation])).values()];
}

/** Every private conversation that is shown as `id`, whoever its users are. */
export function privateConversationsNamed(id: string): Conversation[] {
  const cuts = [...id.matchAll(/_/g)].map(({ index }) => index);
  return cuts
    .map((cut) => [id.slice(0, cut), id.slice(cut + 1)] as const)
    .filter((users) => users.every((user) => idProblem(user, MAX_USER_ID_BYTES) === undefined))
    .map(([a, b]) => privateConversation(a, b))
    .filter((conversation) => conversation.id === id);
}

/** Order by code point; JavaScript's `<` orders by UTF-16 unit, which differs above U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  if (PLAIN.test(a) && PLAIN.test(b)) return a < b ? -1 : 1;
  // UTF-8 keeps code point order byte by byte.
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
