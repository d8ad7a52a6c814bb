/** What waits for a user, in pages that stay in place while messages come and go. */
import type { Inbox } from '../activities/mysql/inbox';
import type { InboxPages } from '../activities/mysql/inbox-pages';
import { messageOf } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import type { Logger } from '../logger';
import { reading } from './store-errors';

export interface OfflineInboxDeps {
  readonly pages: InboxPages;
  readonly inbox: Pick<Inbox, 'expire'>;
  readonly now: () => number;
  readonly log: Logger;
}

export interface OfflinePage {
  readonly messages: readonly SequencedMessage[];
  /** Id of the message after which the next page begins; the page was the last one without it. */
  readonly nextCursor: string | undefined;
  readonly hasMore: boolean;
  readonly totalCount: number;
}

/** Rounds of a few hundred messages each that one request puts aside. */
const EXPIRE_ROUNDS = 4;

export class OfflineInbox {
  constructor(private readonly deps: OfflineInboxDeps) {}

  /**
   * A page after the message `cursor`, whatever has become of that message; from the start without
   * one. `undefined`: the cursor was never in this inbox, or is no longer remembered.
   */
  async page(
    userId: string,
    cursor: string | undefined,
    limit: number,
  ): Promise<OfflinePage | undefined> {
    return reading(this.readPage(userId, cursor, limit));
  }

  /** How many messages wait, and the times of the first and the last; zeros when none does. */
  async count(userId: string): Promise<{ count: number; oldest: number; newest: number }> {
    return reading(this.readCount(userId));
  }

  private async readPage(
    userId: string,
    cursor: string | undefined,
    limit: number,
  ): Promise<OfflinePage | undefined> {
    const { pages, now } = this.deps;
    const after = cursor === undefined ? 0 : await pages.positionOf(userId, cursor);
    if (after === undefined) return undefined;
    const totalCount = await this.waiting(userId);
    const { items, last, hasMore } = await pages.page(userId, after, limit, now());
    return {
      messages: items.map((item) => item.message),
      nextCursor: last?.message.msgId,
      hasMore,
      totalCount,
    };
  }

  private async readCount(
    userId: string,
  ): Promise<{ count: number; oldest: number; newest: number }> {
    const { pages, now } = this.deps;
    const count = await this.waiting(userId);
    if (count === 0) return { count, oldest: 0, newest: 0 };
    return { count, ...(await pages.span(userId, now())) };
  }

  /** Counts, and puts aside some of what is overdue: every later page would step over it again. */
  private async waiting(userId: string): Promise<number> {
    const { pages, inbox, now, log } = this.deps;
    const { waiting, overdue } = await pages.count(userId, now());
    let left = overdue;
    try {
      for (let round = 0; left > 0 && round < EXPIRE_ROUNDS; round++) {
        const expired = await inbox.expire(userId, now());
        left = expired === 0 ? 0 : left - expired;
      }
    } catch (error) {
      // The answer is right all the same; retention does it later.
      log.warn({ err: messageOf(error) }, 'overdue messages were not put aside');
    }
    return waiting;
  }
}
