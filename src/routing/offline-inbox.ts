/**
 * What waits for a user, in pages that stay in place while messages come and go: the rows of their inbox,
 * at the end of which what waits in the logs of large groups is drawn into it, as far as it is asked for.
 */
import type { GroupUnread } from '../activities/mysql/group-unread';
import type { Inbox } from '../activities/mysql/inbox';
import type { InboxPage, InboxPages } from '../activities/mysql/inbox-pages';
import type { LogDraws } from '../activities/mysql/log-draws';
import { messageOf } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import type { Logger } from '../logger';
import { reading } from './store-errors';

export interface OfflineInboxDeps {
  readonly pages: InboxPages;
  readonly inbox: Pick<Inbox, 'expire'>;
  readonly groupUnread: Pick<GroupUnread, 'count' | 'span' | 'includes'>;
  readonly draws: Pick<LogDraws, 'draw'>;
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
/** Draws for one page: the first is enough unless what it drew expired, or others draw at the same time. */
const DRAW_ROUNDS = 4;

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
    const { pages, groupUnread } = this.deps;
    const after = cursor === undefined ? 0 : await this.placeOf(userId, cursor);
    if (after === undefined) return undefined;
    const look = await pages.look(userId, after, limit, this.deps.now());
    await this.putAside(userId, look.overdue);
    const inLogs = look.readsLogs ? await groupUnread.count(userId) : 0;
    const page = inLogs > 0 ? await this.filled(userId, after, limit, look) : look;
    return {
      messages: page.items.map((item) => item.message),
      nextCursor: page.last?.message.msgId,
      hasMore: page.hasMore,
      totalCount: look.waiting + inLogs,
    };
  }

  /** The page with what is drawn from the logs when it has room. */
  private async filled(
    userId: string,
    after: number,
    limit: number,
    begun: InboxPage,
  ): Promise<InboxPage> {
    const { pages, draws, now } = this.deps;
    let page = begun;
    for (let round = 0; !page.hasMore && round < DRAW_ROUNDS; round++) {
      // One more than fits, to know whether there is more.
      const drawn = await draws.draw(userId, limit + 1 - page.items.length);
      // Also when nothing was drawn: it may have been by somebody else, since we looked.
      page = await pages.page(userId, after, limit, now());
      if (drawn === 0) break;
    }
    return page;
  }

  /**
   * The position of a cursor. A message of a large group that was never drawn was delivered from the log,
   * or is yet to be: all that waits comes after it.
   */
  private async placeOf(userId: string, cursor: string): Promise<number | undefined> {
    const { pages, groupUnread } = this.deps;
    const position = await pages.positionOf(userId, cursor);
    if (position !== undefined) return position;
    return (await groupUnread.includes(userId, cursor)) ? 0 : undefined;
  }

  private async readCount(
    userId: string,
  ): Promise<{ count: number; oldest: number; newest: number }> {
    const { pages, groupUnread, now } = this.deps;
    const count = await this.waiting(userId);
    if (count === 0) return { count, oldest: 0, newest: 0 };
    const spans = [await pages.span(userId, now()), await groupUnread.span(userId)];
    const times = spans.flatMap((span) => (span ? [span.oldest, span.newest] : []));
    // All of it was delivered between the two looks.
    if (times.length === 0) return { count: 0, oldest: 0, newest: 0 };
    return { count, oldest: Math.min(...times), newest: Math.max(...times) };
  }

  private async waiting(userId: string): Promise<number> {
    const { pages, groupUnread, now } = this.deps;
    const [{ waiting, overdue }, inLogs] = await Promise.all([
      pages.count(userId, now()),
      groupUnread.count(userId),
    ]);
    await this.putAside(userId, overdue);
    return waiting + inLogs;
  }

  /** Puts aside some of what is overdue: every later page would step over it again. */
  private async putAside(userId: string, overdue: number): Promise<void> {
    const { inbox, now, log } = this.deps;
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
  }
}
