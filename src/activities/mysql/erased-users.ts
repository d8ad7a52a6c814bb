/**
 * Users who were erased, for good. Each process has all of them in memory (some hundred bytes each)
 * and looks every second for new ones, so that the message path asks nobody; what writes to MySQL
 * asks {@link erasedUsersAmong} in its own transaction.
 */
import { ERASED_LEASE_MS, ERASED_POLL_MS } from '../../domain/erasure';
import type { ErasedView } from '../../domain/erasure';
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import { sleep } from '../sleep';
import { chunks } from './chunks';
import type { Queryable } from './database';

const PAGE_SIZE = 10_000;
/** Numbers are given before they are committed: so many before the last are read again. */
const OVERLAP = 100;

export class ErasedUsers implements ErasedView {
  private readonly users = new Set<string>();
  private readonly listeners: ((userId: string) => void)[] = [];
  private readonly stopping = new AbortController();
  private lastSeq = 0;
  private freshUntil = 0;
  private polling: Promise<void> | undefined;

  constructor(
    private readonly deps: {
      readonly db: Queryable;
      readonly now: () => number;
      readonly log: Logger;
    },
  ) {}

  /** Reads all of them and begins to look for new ones. */
  async start(): Promise<void> {
    await this.look();
    this.polling = this.poll();
  }

  has(userId: string): boolean {
    return this.users.has(userId);
  }

  isFresh(): boolean {
    return this.deps.now() < this.freshUntil;
  }

  /** Calls `listener` with each user who is erased from now on. */
  onErased(listener: (userId: string) => void): void {
    this.listeners.push(listener);
  }

  async close(): Promise<void> {
    this.stopping.abort();
    await this.polling;
  }

  private async poll(): Promise<void> {
    for (;;) {
      await sleep(ERASED_POLL_MS, this.stopping.signal);
      if (this.stopping.signal.aborted) return;
      try {
        await this.look();
      } catch (error) {
        this.deps.log.debug({ err: messageOf(error) }, 'erased users not read');
      }
    }
  }

  private async look(): Promise<void> {
    const began = this.deps.now();
    let after = Math.max(0, this.lastSeq - OVERLAP);
    for (;;) {
      const rows = await this.deps.db.select<{ seq: number; user_id: string }>(
        'SELECT seq, user_id FROM erased_users WHERE seq > ? ORDER BY seq LIMIT ?',
        [after, PAGE_SIZE],
      );
      for (const { seq, user_id } of rows) {
        this.lastSeq = Math.max(this.lastSeq, seq);
        this.add(user_id);
      }
      const last = rows.at(-1);
      if (!last || rows.length < PAGE_SIZE) break;
      after = last.seq;
    }
    this.freshUntil = began + ERASED_LEASE_MS;
  }

  private add(userId: string): void {
    if (this.users.has(userId)) return;
    this.users.add(userId);
    for (const listener of this.listeners) listener(userId);
  }
}

/** Those of the users who were erased, as the transaction sees it. */
export async function erasedUsersAmong(
  on: Queryable,
  userIds: readonly string[],
): Promise<Set<string>> {
  const erased = new Set<string>();
  for (const piece of chunks([...new Set(userIds)])) {
    const rows = await on.select<{ user_id: string }>(
      'SELECT user_id FROM erased_users WHERE user_id IN (?)',
      [piece],
    );
    for (const row of rows) erased.add(row.user_id);
  }
  return erased;
}
