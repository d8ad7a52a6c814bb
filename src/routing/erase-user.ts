/**
 * The steps of a user's erasure, each of one system. Each works in bounded batches until nothing is
 * left, and may be repeated after a crash in its middle: what is done is not found any more.
 */
import type { ErasedBatch, ErasureRows } from '../activities/mysql/erasure-rows';
import type { ExportBundles } from '../activities/mysql/export-bundles';
import type { Holds } from '../activities/mysql/holds';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import type { UserTraces } from '../activities/redis/user-traces';
import { messageOf } from '../domain/errors';
import type { GdprCounts } from '../domain/gdpr';
import type { Logger } from '../logger';

export interface EraseUserDeps {
  readonly rows: ErasureRows;
  readonly holds: Pick<Holds, 'onUser'>;
  readonly traces: Pick<UserTraces, 'erasePage'>;
  readonly counts: Pick<InboxCounts, 'subtract'>;
  readonly bundles: Pick<ExportBundles, 'removeOf' | 'removeWithMessagesOf'>;
  readonly log: Logger;
}

export class EraseUser {
  constructor(private readonly deps: EraseUserDeps) {}

  isHeld(userId: string, signal: AbortSignal): Promise<boolean> {
    return this.deps.holds.onUser(userId, signal);
  }

  async find(userId: string): Promise<GdprCounts> {
    const { keys, messages, inboxRows, receipts, groupRows } = await this.deps.rows.traces(userId);
    return { keys, messages, inbox_rows: inboxRows, receipts, group_rows: groupRows };
  }

  /** False when a legal hold was placed meanwhile; what was begun before goes on. */
  async destroyKeys(userId: string, signal: AbortSignal): Promise<boolean> {
    const { rows } = this.deps;
    if (!(await rows.isErased(userId)) && (await this.isHeld(userId, signal))) return false;
    await rows.markAndDestroyKeys(userId);
    return true;
  }

  async messages(userId: string, signal: AbortSignal): Promise<void> {
    for (let after: number | undefined = 0; after !== undefined;) {
      signal.throwIfAborted();
      const { waited, next }: ErasedBatch = await this.deps.rows.eraseMessages(userId, after);
      for (const [recipient, count] of waited) await this.subtract(recipient, count);
      after = next;
    }
  }

  inbox(userId: string, signal: AbortSignal): Promise<void> {
    return untilNone(signal, () => this.deps.rows.eraseInbox(userId));
  }

  async receipts(userId: string, signal: AbortSignal): Promise<void> {
    await untilNone(signal, () => this.deps.rows.eraseReceipts(userId));
    for (let after: number | undefined = 0; after !== undefined;) {
      signal.throwIfAborted();
      after = await this.deps.rows.eraseDevices(userId, after);
    }
  }

  groups(userId: string, signal: AbortSignal): Promise<void> {
    return untilNone(signal, () => this.deps.rows.eraseGroups(userId));
  }

  /** Their own exports, and those of others that hold messages of theirs. */
  async exports(userId: string): Promise<void> {
    await this.deps.bundles.removeOf(userId);
    await this.deps.bundles.removeWithMessagesOf(userId);
  }

  async redis(userId: string, signal: AbortSignal): Promise<void> {
    for (let cursor: string | undefined = '0'; cursor !== undefined;) {
      signal.throwIfAborted();
      cursor = (await this.deps.traces.erasePage(userId, cursor)).next;
    }
  }

  /** Goes through MySQL once more, for what others were writing meanwhile; resolves with what is left. */
  async verify(userId: string, signal: AbortSignal): Promise<GdprCounts> {
    await this.deps.rows.markAndDestroyKeys(userId);
    await this.messages(userId, signal);
    await this.inbox(userId, signal);
    await this.receipts(userId, signal);
    await this.groups(userId, signal);
    await this.exports(userId);
    return this.find(userId);
  }

  private async subtract(userId: string, count: number): Promise<void> {
    try {
      await this.deps.counts.subtract(userId, count);
    } catch (error) {
      // The count expires by itself and is then set from MySQL.
      this.deps.log.debug({ err: messageOf(error) }, 'count of waiting messages not lowered');
    }
  }
}

async function untilNone(signal: AbortSignal, batch: () => Promise<boolean>): Promise<void> {
  do signal.throwIfAborted();
  while (await batch());
}
