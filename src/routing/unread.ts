/** How much a user has not read, for each conversation. */
import type { Conversations, UnreadCount } from '../activities/mysql/conversations';
import { groupConversation } from '../domain/ids';
import type { ConversationAccess } from './conversation-access';
import { reading } from './store-errors';

/** Groups asked for at once: each is a question to MySQL and, now and then, to the user service. */
const CONCURRENCY = 4;

/** Conversations with anything unread; groups that the user has left are not among them. */
export async function unreadCounts(
  deps: { readonly conversations: Conversations; readonly access: ConversationAccess },
  userId: string,
): Promise<UnreadCount[]> {
  const { conversations, access } = deps;
  const counts = await reading(conversations.unreadPrivate(userId));
  const groups = await reading(conversations.groupsOf(userId));
  for (let i = 0; i < groups.length; i += CONCURRENCY) {
    const some = await Promise.all(
      groups.slice(i, i + CONCURRENCY).map(async (groupId): Promise<UnreadCount> => {
        const conversation = groupConversation(groupId);
        const visible = await access.visible(userId, conversation);
        if (!visible) return { conversation, count: 0 };
        return {
          conversation,
          count: await reading(conversations.countUnreadInGroup(userId, visible)),
        };
      }),
    );
    counts.push(...some.filter(({ count }) => count > 0));
  }
  return counts;
}
