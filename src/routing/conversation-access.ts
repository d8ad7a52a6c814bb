/** Who may see a conversation: the two users of a private one, the present members of a group. */
import type { Conversations } from '../activities/mysql/conversations';
import type { Memberships } from '../activities/user-service/memberships';
import { groupConversation, privateConversationsShownAs, usersOf } from '../domain/ids';
import type { Conversation, ConversationType } from '../domain/ids';
import { reading } from './store-errors';

export interface ConversationAccessDeps {
  readonly conversations: Pick<Conversations, 'exists'>;
  readonly memberships: Pick<Memberships, 'isMember'>;
}

/** What an id in a request stands for, to this caller. */
export type Resolved = Conversation | 'unknown' | 'ambiguous';

export class ConversationAccess {
  constructor(private readonly deps: ConversationAccessDeps) {}

  /** Rejects with SERVICE_UNAVAILABLE when a membership cannot be learned. */
  async maySee(userId: string, conversation: Conversation): Promise<boolean> {
    if (conversation.type === 'private') return usersOf(conversation).includes(userId);
    return this.deps.memberships.isMember(userId, conversation.key);
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
    if (type === 'group') {
      const group = groupConversation(id);
      return (await this.maySee(userId, group)) ? group : 'unknown';
    }
    const candidates = privateConversationsShownAs(id, userId).filter(
      (candidate) => peerId === undefined || usersOf(candidate).includes(peerId),
    );
    const found: Conversation[] = [];
    for (const candidate of candidates) {
      if (await reading(this.deps.conversations.exists(candidate))) found.push(candidate);
    }
    const [first, second] = found;
    return second ? 'ambiguous' : (first ?? 'unknown');
  }
}
