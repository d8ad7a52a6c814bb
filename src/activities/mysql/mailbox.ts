/**
 * Everything that waits for a user, of both kinds, as one: the rows of their inbox, then what lies
 * after their positions in the logs of large groups. A group's rows are from before it became large,
 * so this order keeps each conversation's.
 */
import type { InboxItem, Stay } from '../../domain/inbox';
import type { GroupReaders } from './group-readers';
import type { GroupUnread } from './group-unread';
import type { Inbox, InboxDelivery } from './inbox';

export class Mailbox {
  constructor(
    private readonly inbox: Inbox,
    private readonly readers: GroupReaders,
    private readonly unread: GroupUnread,
  ) {}

  /** The first `limit` messages that wait, each conversation's in sequence order. */
  async readPending(userId: string, limit: number, now: number): Promise<InboxItem[]> {
    const rows = await this.inbox.readPending(userId, limit, now);
    if (rows.length >= limit) return rows;
    return [...rows, ...(await this.unread.readPending(userId, limit - rows.length))];
  }

  /** How many messages wait, and how many of them have a row, which is what the quota is about. */
  async pending(userId: string): Promise<{ total: number; rows: number }> {
    const [rows, inLogs] = await Promise.all([
      this.inbox.pendingCount(userId),
      this.unread.count(userId),
    ]);
    return { total: rows + inLogs, rows };
  }

  /** Marks messages as delivered; returns how many changed. */
  async markDelivered(userId: string, items: readonly InboxDelivery[]): Promise<number> {
    const inRows = items.filter(({ stay }) => stay === undefined);
    const inLogs = items.filter((item): item is InboxDelivery & { stay: Stay } => !!item.stay);
    const changed =
      (await this.inbox.markDelivered(userId, inRows)) +
      (await this.readers.markDelivered(userId, inLogs));
    // Drawn into the inbox between the push and the mark: then the row waits, and is marked as well.
    await this.inbox.markDelivered(userId, await this.inbox.stillPending(userId, inLogs));
    return changed;
  }

  /** Ends the wait of rows past their time, at most a few hundred a call. */
  async expire(userId: string, now: number): Promise<void> {
    await this.inbox.expire(userId, now);
  }

  /** Users have appeared: those of them for whom something waits. */
  async appeared(userIds: readonly string[], at: number): Promise<string[]> {
    await this.readers.appear(userIds, at);
    const behind = await this.readers.settle(userIds);
    return [...new Set([...behind, ...(await this.inbox.hasPending(userIds))])];
  }

  /** Notes that a user is present, whose appearance may have gone unseen. */
  async noteAppeared(userId: string, at: number): Promise<void> {
    await this.readers.appear([userId], at);
  }

  /** Those of the users of whose going it is to be noted: members of large groups, believed to be present. */
  async presentAmong(userIds: readonly string[]): Promise<string[]> {
    return this.readers.presentAmong(userIds);
  }

  /** Users' last devices have gone. */
  async vanished(userIds: readonly string[], at: number): Promise<void> {
    for (const userId of await this.readers.presentAmong(userIds)) {
      await this.readers.vanish(userId, at);
    }
  }

  /** Notes that a present user has everything; false when something has come. */
  async settle(userId: string): Promise<boolean> {
    return (await this.readers.settle([userId])).length === 0;
  }

  /** Notes that a delivery failed visibly, so that the sweep leaves the user alone for a while. */
  async recordFailure(userId: string, at: number): Promise<void> {
    await this.inbox.recordFailure(userId, at);
    await this.readers.recordFailure(userId, at);
  }
}
