/** Who may see a conversation: the two users of a private one, the present members of a group. */
import type { Conversations } from '../activities/mysql/conversations';
import type { Groups } from '../activities/user-service/groups';
import { groupConversation, privateConversationsShownAs, usersOf } from '../domain/ids';
import type { Conversation, ConversationType } from '../domain/ids';
import { reading } from './store-errors';

export interface ConversationAccessDeps {
  readonly conversations: Pick<Conversations, 'exists'>;
  readonly groups: Pick<Groups, 'memberSince'>;
}

/** A conversation that a caller may see. */
export interface Visible {
  readonly conversation: Conversation;
  /** What was accepted before is not for them, unix ms: they joined the group then. 0: all is. */
  readonly since: number;
}

/** What an id in a request stands for, to this caller. */
export type Resolved = Visible | 'unknown' | 'ambiguous';

export class ConversationAccess {
  constructor(private readonly deps: ConversationAccessDeps) {}

  async maySee(userId: string, conversation: Conversation): Promise<boolean> {
    return (await this.visible(userId, conversation)) !== undefined;
  }

  /**
   * The conversation as the user may see it; `undefined` when it is not theirs. Rejects with
   * SERVICE_UNAVAILABLE when a membership cannot be learned.
   */
  async visible(userId: string, conversation: Conversation): Promise<Visible | undefined> {
    if (conversation.type === 'private') {
      return usersOf(conversation).includes(userId) ? { conversation, since: 0 } : undefined;
    }
    const since = await this.deps.groups.memberSince(conversation.key, userId);
    return since === undefined ? undefined : { conversation, since };
  }

  /**
   * The conversation that the caller may see under this type and id. The id of a private one is never
   * taken apart to learn who is in it: the caller's own conversations are asked which of them is
   * shown so. `peerId` chooses where two are.
   */
  async resolve(
    userId: string,
    type: ConversationType,
    id: string,
    peerId: string | undefined,
  ): Promise<Resolved> {
    if (type === 'group') return (await this.visible(userId, groupConversation(id))) ?? 'unknown';
    const candidates = privateConversationsShownAs(id, userId).filter(
      (candidate) => peerId === undefined || usersOf(candidate).includes(peerId),
    );
    const found: Conversation[] = [];
    for (const candidate of candidates) {
      if (await reading(this.deps.conversations.exists(candidate))) found.push(candidate);
    }
    const [first, second] = found;
    if (second) return 'ambiguous';
    return first ? { conversation: first, since: 0 } : 'unknown';
  }
}
