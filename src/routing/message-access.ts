/** Which message an id stands for, and who received it. */
import type { Conversations } from '../activities/mysql/conversations';
import type { GroupUnread } from '../activities/mysql/group-unread';
import type { InboxPages } from '../activities/mysql/inbox-pages';
import type { MessageRemoval } from '../activities/mysql/message-removal';
import type { MessageStates } from '../activities/redis/message-states';
import { ImError } from '../domain/errors';
import type { MessageFacts } from '../domain/receipts';
import type { ConversationAccess } from './conversation-access';
import { reading } from './store-errors';

export interface MessageAccessDeps {
  readonly conversations: Pick<Conversations, 'facts'>;
  readonly states: Pick<MessageStates, 'facts'>;
  readonly access: Pick<ConversationAccess, 'maySee'>;
  readonly inbox: Pick<InboxPages, 'positionOf'>;
  readonly groupUnread: Pick<GroupUnread, 'includes'>;
  readonly removal: Pick<MessageRemoval, 'isHidden'>;
}

export class MessageAccess {
  constructor(private readonly deps: MessageAccessDeps) {}

  /** MySQL learns of a message that was pushed a moment later than its reader: then Redis knows it. */
  async find(msgId: string): Promise<MessageFacts | undefined> {
    const stored = await reading(this.deps.conversations.facts(msgId));
    if (stored) return stored;
    try {
      return await this.deps.states.facts(msgId);
    } catch (error) {
      throw new ImError('SERVICE_UNAVAILABLE', 'whether there is such a message is not known now', {
        cause: error,
      });
    }
  }

  /** Of a group also those who have left it since, for what was kept for them. */
  async received(userId: string, facts: MessageFacts): Promise<boolean> {
    if (await this.deps.access.maySee(userId, facts.conversation)) return true;
    if (facts.conversation.type === 'private') return false;
    const { inbox, groupUnread } = this.deps;
    return reading(
      (async () =>
        (await inbox.positionOf(userId, facts.msgId)) !== undefined ||
        (await groupUnread.includes(userId, facts.msgId)))(),
    );
  }

  /** Whether the user has deleted it for themself. */
  async isHidden(userId: string, msgId: string): Promise<boolean> {
    return reading(this.deps.removal.isHidden(userId, msgId));
  }
}
