/** Marking as read (architecture §5): durable first, then everything that follows from it. */
import type { Conversations, UnreadMessage } from '../activities/mysql/conversations';
import type { ReadReceipts, Recorded } from '../activities/mysql/read-receipts';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import type { MessageStates } from '../activities/redis/message-states';
import type { ErasedView } from '../domain/erasure';
import { messageOf } from '../domain/errors';
import { believableReadTime } from '../domain/receipts';
import type { MessageFacts, Receipt } from '../domain/receipts';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { Visible } from './conversation-access';
import type { MessageAccess } from './message-access';
import { reading, writing } from './store-errors';

export interface ReadMarksDeps {
  readonly receipts: Pick<ReadReceipts, 'record' | 'recordAll'>;
  readonly conversations: Conversations;
  readonly messages: Pick<MessageAccess, 'find' | 'received'>;
  readonly states: Pick<MessageStates, 'markRead'>;
  readonly counts: Pick<InboxCounts, 'subtract'>;
  readonly erased: Pick<ErasedView, 'has'>;
  /** Makes the sender hear of their receipts soon. Never throws. */
  readonly wake: (senderId: string) => void;
  readonly now: () => number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** How a reader says that they read something. */
export interface ReadMark {
  readonly deviceId: string;
  /** `undefined`: now. */
  readonly readAt: number | undefined;
}

export type MarkOutcome = 'recorded' | 'unknown' | 'own';

/** What marking a conversation came to. */
export interface ConversationMarked {
  readonly marked: number;
  /** Everything up to here is read, once nothing more is left. */
  readonly upTo: number;
  /** There is more up to there: ask again. */
  readonly hasMore: boolean;
}

/** Transactions of a few hundred receipts each that one request makes. */
const MAX_ROUNDS = 10;

export class ReadMarks {
  constructor(private readonly deps: ReadMarksDeps) {}

  /** Marks one message as read by one who received it. */
  async message(readerId: string, msgId: string, mark: ReadMark): Promise<MarkOutcome> {
    const { messages, erased } = this.deps;
    const facts = await messages.find(msgId);
    // Redis may know a message for hours that MySQL shows no more.
    if (!facts || erased.has(facts.senderId)) return 'unknown';
    if (!(await messages.received(readerId, facts))) return 'unknown';
    if (facts.senderId === readerId) return 'own';
    const receipt = this.receiptOf(readerId, facts, mark);
    const recorded = await writing(this.deps.receipts.record(receipt));
    await this.follow([receipt], [recorded]);
    return 'recorded';
  }

  /** Marks what others wrote in a conversation the reader may see, up to a sequence number. */
  async conversation(
    readerId: string,
    visible: Visible,
    upTo: number,
    mark: ReadMark,
  ): Promise<ConversationMarked> {
    const { conversations } = this.deps;
    const { conversation } = visible;
    // What nobody has written yet cannot be read.
    const end = Math.min(upTo, await reading(conversations.lastSequence(conversation)));
    let marked = 0;
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const page = await this.unread(readerId, visible, end);
      const last = page.at(-1);
      if (last) await this.markPage(readerId, page, mark);
      if (conversation.type === 'group') {
        const to = last?.sequenceNumber ?? end;
        await writing(conversations.raiseGroupRead(readerId, conversation.key, to));
      }
      if (!last) return { marked, upTo: end, hasMore: false };
      marked += page.length;
    }
    return { marked, upTo: end, hasMore: true };
  }

  private async unread(readerId: string, visible: Visible, end: number): Promise<UnreadMessage[]> {
    const { conversations } = this.deps;
    const { conversation } = visible;
    if (conversation.type === 'private') {
      return reading(conversations.unreadInPrivate(readerId, conversation, end));
    }
    const from = await reading(conversations.groupReadUpTo(readerId, conversation.key));
    return reading(conversations.unreadInGroup(readerId, visible, from, end));
  }

  private async markPage(
    readerId: string,
    page: readonly UnreadMessage[],
    mark: ReadMark,
  ): Promise<void> {
    const receipts = page.map((facts) => this.receiptOf(readerId, facts, mark));
    await this.follow(receipts, await writing(this.deps.receipts.recordAll(receipts)));
  }

  private receiptOf(readerId: string, facts: MessageFacts, mark: ReadMark): Receipt {
    const { msgId, senderId, conversation, acceptedAt } = facts;
    const readAt = believableReadTime(mark.readAt, acceptedAt, this.deps.now());
    return { msgId, senderId, conversation, readerId, deviceId: mark.deviceId, readAt };
  }

  /** What others are told. None of it is needed for the receipt to be safe. */
  private async follow(receipts: readonly Receipt[], recorded: readonly Recorded[]): Promise<void> {
    const { states, counts, erased, wake, metrics, log } = this.deps;
    metrics.readReceipts.inc(receipts.length);
    for (const senderId of new Set(receipts.map((receipt) => receipt.senderId))) {
      if (!erased.has(senderId)) wake(senderId);
    }
    const waited = recorded.filter((one) => one.waited).length;
    const [reader] = receipts;
    try {
      await Promise.all([
        ...receipts.map((receipt, i) =>
          states.markRead(receipt.msgId, recorded[i]?.readAt ?? receipt.readAt),
        ),
        waited > 0 && reader ? counts.subtract(reader.readerId, waited) : undefined,
      ]);
    } catch (error) {
      log.debug({ err: messageOf(error) }, 'Redis was not told of a receipt');
    }
  }
}
