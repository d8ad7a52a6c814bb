/** The steps of a message's deletion, each for one system (see workflows/gdpr-delete-message.ts). */
import type { TopicRetention } from '../activities/kafka/retention';
import { TOPICS } from '../activities/kafka/topics';
import type { ErasedMessages } from '../activities/mysql/erased-messages';
import type { ExportBundles } from '../activities/mysql/export-bundles';
import type { Holds } from '../activities/mysql/holds';
import type { MessageRemoval } from '../activities/mysql/message-removal';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import type { MessageStates } from '../activities/redis/message-states';
import type { RoutingTickets } from '../activities/redis/routing-tickets';
import { ofSystem } from '../domain/gdpr';
import type { GdprCounts } from '../domain/gdpr';
import type { DeleteInput } from '../domain/gdpr-delete';

export interface DeleteMessageDeps {
  readonly erased: Pick<ErasedMessages, 'add' | 'find' | 'keepUntil' | 'noteRemoved'>;
  readonly holds: Pick<Holds, 'active'>;
  readonly removal: MessageRemoval;
  readonly bundles: Pick<ExportBundles, 'removeWithMessagesOf'>;
  readonly states: Pick<MessageStates, 'erase'>;
  readonly tickets: Pick<RoutingTickets, 'forget'>;
  readonly counts: Pick<InboxCounts, 'forget'>;
  readonly retention: Pick<TopicRetention, 'copiesGone'>;
  readonly now: () => number;
}

/** How long an erased id is remembered at least, ms: longer than copies lie on Kafka by default. */
export const ERASED_FOR_MS = 30 * 24 * 60 * 60 * 1000;

export class MessageDeletion {
  constructor(private readonly deps: DeleteMessageDeps) {}

  /** Whether a legal hold forbids it; asked before anything is destroyed. */
  async isHeld(place: DeleteInput): Promise<boolean> {
    // What was begun goes on, whatever is held since.
    if ((await this.deps.erased.find(place.messageId)) !== undefined) return false;
    return (await this.deps.holds.active()).covers(place);
  }

  /** `undefined` when the job has ended as canceled. */
  async listErased({ messageId, jobId }: DeleteInput): Promise<GdprCounts | undefined> {
    const until = this.deps.now() + ERASED_FOR_MS;
    const isListed = await this.deps.erased.add(messageId, jobId, until);
    return isListed ? { listed: 1, listed_until: until } : undefined;
  }

  async forgetInRedis({ messageId }: DeleteInput): Promise<GdprCounts> {
    const { states, tickets } = this.deps;
    const messages = await states.erase(messageId, ERASED_FOR_MS);
    return { messages, tickets: await tickets.forget(messageId) };
  }

  /** Bundles are not searched: those of whoever could see it go when they have messages of its sender. */
  async removeExports({ senderId, conversation }: DeleteInput): Promise<GdprCounts> {
    const holders = conversation.type === 'group' ? undefined : conversation.key.split('/');
    return { bundles: await this.deps.bundles.removeWithMessagesOf(senderId, holders) };
  }

  /** The last of what reads could show. */
  async clearInboxes({ messageId }: DeleteInput): Promise<GdprCounts> {
    const counts = await this.deps.removal.clearInboxes(messageId);
    await this.deps.erased.noteRemoved(messageId);
    return counts;
  }

  /** A page of users at a time; the rows that name them stay, so it may be repeated. */
  async forgetCounts({ messageId, forUser }: DeleteInput): Promise<GdprCounts> {
    const { removal, counts } = this.deps;
    if (forUser !== undefined) return { users: await counts.forget([forUser]) };
    let forgotten = 0;
    for (let after: string | undefined = ''; after !== undefined;) {
      const users: string[] = await ofSystem('mysql', removal.formerHolders(messageId, after));
      if (users.length > 0) forgotten += await counts.forget(users);
      after = users.at(-1);
    }
    return { users: forgotten };
  }

  /**
   * Records cannot be taken out of Kafka one by one: consumers drop them by the erased list, and they go
   * with their topic's time.
   */
  async dateKafkaCopies({ messageId, conversation }: DeleteInput): Promise<GdprCounts> {
    const { retention, erased, now } = this.deps;
    const carriers =
      conversation.type === 'group'
        ? [TOPICS.group, TOPICS.offline]
        : [TOPICS.offline, TOPICS.delivered];
    const dates = await retention.copiesGone([...carriers, TOPICS.readReceipts], now());
    const until = Math.max(0, ...Object.values(dates));
    await ofSystem('mysql', erased.keepUntil(messageId, until));
    return dates;
  }
}
