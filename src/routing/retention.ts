/**
 * Removal of what is past its time, a page of one class at a time. Each page asks anew what is under a
 * legal hold, and leaves that.
 */
import type { ErasedMessages } from '../activities/mysql/erased-messages';
import type { ExportBundles } from '../activities/mysql/export-bundles';
import type { GroupExpiry } from '../activities/mysql/group-expiry';
import type { Holds } from '../activities/mysql/holds';
import type { Inbox } from '../activities/mysql/inbox';
import type { AgedRow, RetentionRows } from '../activities/mysql/retention-rows';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import { messageOf } from '../domain/errors';
import type { HoldScope } from '../domain/holds';
import type { AgePlace, PurgeInput, PurgePage, RetentionActivities } from '../domain/retention';
import type { Logger } from '../logger';

/** Rows of a page, which is one transaction: larger ones lock for longer and gain little. */
const PAGE_SIZE = 500;
const DAY_MS = 24 * 60 * 60 * 1000;
const START: AgePlace = { time: 0, skip: 0 };

/** Days that each class is kept; 0: for ever, but for the inbox, where 0 is 0. */
export interface RetentionDays {
  /** Rows of an inbox, counted from when their message stopped waiting at the latest. */
  readonly inbox: number;
  readonly messages: number;
  readonly receipts: number;
  readonly jobs: number;
  /** How long a message waits: none is removed before. */
  readonly ttl: number;
}

export interface RetentionDeps {
  readonly rows: RetentionRows;
  readonly holds: Holds;
  readonly inbox: Pick<Inbox, 'expire' | 'sweepPage'>;
  readonly counts: Pick<InboxCounts, 'subtract'>;
  readonly groupExpiry: Pick<GroupExpiry, 'purgeExpired'>;
  readonly erasedMessages: Pick<ErasedMessages, 'purge'>;
  readonly bundles: Pick<ExportBundles, 'purgeExpired'>;
  readonly days: RetentionDays;
  readonly now: () => number;
  readonly log: Logger;
}

export class Retention implements RetentionActivities {
  constructor(private readonly deps: RetentionDeps) {}

  async expireInbox({ after = '' }: PurgeInput<string>): Promise<PurgePage<string>> {
    const { inbox, rows, now } = this.deps;
    const users = await inbox.sweepPage(after, Number.MAX_SAFE_INTEGER, PAGE_SIZE);
    const overdue = await rows.overdueAmong(
      users.map(({ userId }) => userId),
      now(),
    );
    let removed = 0;
    for (const userId of overdue) removed += await this.expireUser(userId);
    const last = users.at(-1)?.userId;
    return { removed, held: 0, ...(users.length === PAGE_SIZE && { next: last }) };
  }

  async purgeInbox({ after = START }: PurgeInput): Promise<PurgePage> {
    const { rows, days } = this.deps;
    const until = this.before(days.inbox);
    return this.page({
      after,
      read: () => rows.inbox(after, until, PAGE_SIZE),
      stays: (row) => row.waits,
      isHeld: (row, scope) => scope.coversUser(row.userId),
      remove: (old) => rows.removeInbox(old),
    });
  }

  async purgeMessages({ after = START }: PurgeInput): Promise<PurgePage> {
    const { rows, days } = this.deps;
    if (days.messages === 0) return NOTHING;
    const until = this.before(Math.max(days.messages, days.ttl));
    return this.page({
      after,
      read: () => rows.messages(after, until, PAGE_SIZE),
      stays: (row) => row.waits,
      isHeld: () => false,
      clear: (old) => rows.clearMessages(old),
      remove: (old) => rows.removeMessages(old),
    });
  }

  async purgeReceipts({ after = START }: PurgeInput): Promise<PurgePage> {
    const { rows, days } = this.deps;
    if (days.receipts === 0) return NOTHING;
    const until = this.before(days.receipts);
    return this.page({
      after,
      read: () => rows.receipts(after, until, PAGE_SIZE),
      stays: (row) => row.needed,
      isHeld: (row, scope) => scope.coversUser(row.readerId),
      remove: (old) => rows.removeReceipts(old),
    });
  }

  async purgeReadSummaries({ after = START }: PurgeInput): Promise<PurgePage> {
    const { rows, days } = this.deps;
    if (days.receipts === 0) return NOTHING;
    const until = this.before(days.receipts);
    return this.page({
      after,
      read: () => rows.summaries(after, until, PAGE_SIZE),
      stays: () => false,
      isHeld: () => false,
      remove: (old) => rows.removeSummaries(old, until),
    });
  }

  async purgeErasureConfirmations(): Promise<PurgePage> {
    const removed = await this.deps.rows.removeConfirmations(this.deps.now(), PAGE_SIZE);
    return simplePage(removed);
  }

  async purgeGroupLogs(): Promise<PurgePage> {
    return simplePage(await this.deps.groupExpiry.purgeExpired(this.deps.now(), PAGE_SIZE));
  }

  async purgeErasedIds(): Promise<PurgePage> {
    return simplePage(await this.deps.erasedMessages.purge());
  }

  /** Also of those under a hold: a bundle is a copy. */
  async purgeExportBundles(): Promise<PurgePage> {
    const removed = await this.deps.bundles.purgeExpired(this.deps.now(), PAGE_SIZE);
    // A bundle's last rows may exceed the page a little.
    return { removed, held: 0, ...(removed >= PAGE_SIZE && { next: START }) };
  }

  async purgeGdprJobs(): Promise<PurgePage> {
    const { rows, days } = this.deps;
    if (days.jobs === 0) return NOTHING;
    return simplePage(await rows.removeJobs(this.before(days.jobs), PAGE_SIZE));
  }

  private async expireUser(userId: string): Promise<number> {
    const { inbox, counts, now, log } = this.deps;
    let expired = 0;
    for (let more = true; more;) {
      const some = await inbox.expire(userId, now());
      expired += some;
      more = some > 0;
    }
    if (expired === 0) return 0;
    try {
      await counts.subtract(userId, expired);
    } catch (error) {
      // The count expires by itself and is then set from MySQL.
      log.debug({ err: messageOf(error) }, 'count of waiting messages not lowered');
    }
    return expired;
  }

  private before(days: number): number {
    return this.deps.now() - days * DAY_MS;
  }

  private async page<R extends AgedRow>(work: {
    readonly after: AgePlace;
    readonly read: () => Promise<R[]>;
    readonly stays: (row: R) => boolean;
    /** Beyond what covers its message. */
    readonly isHeld: (row: R, scope: HoldScope) => boolean;
    /** What has to go before; false when there is more of it than one page does. */
    readonly clear?: (rows: R[]) => Promise<boolean>;
    readonly remove: (rows: R[]) => Promise<number>;
  }): Promise<PurgePage> {
    const rows = await work.read();
    if (rows.length === 0) return NOTHING;
    // Read after the rows: a hold that is placed from now on finds its rows there, or gone before it.
    const scope = await this.deps.holds.active();
    const held = rows.filter(
      (row) => work.isHeld(row, scope) || (row.place !== undefined && scope.covers(row.place)),
    );
    const kept = new Set([...held, ...rows.filter((row) => work.stays(row))]);
    const old = rows.filter((row) => !kept.has(row));
    if (work.clear && !(await work.clear(old))) return { removed: 0, held: 0, next: work.after };
    const removed = await work.remove(old);
    const last = rows.at(-1);
    if (rows.length < PAGE_SIZE || !last) return { removed, held: held.length };
    const skipped = [...kept].filter(({ time }) => time === last.time).length;
    const before = work.after.time === last.time ? work.after.skip : 0;
    return { removed, held: held.length, next: { time: last.time, skip: before + skipped } };
  }
}

const NOTHING: PurgePage = { removed: 0, held: 0 };

/** Of a class that needs no place: what was removed is not found again. */
function simplePage(removed: number): PurgePage {
  return { removed, held: 0, ...(removed === PAGE_SIZE && { next: START }) };
}
