/** Wakes the workflows of senders whose receipts have waited for longer than a wake takes. */
import type { ReceiptLog } from '../activities/mysql/receipt-log';
import { messageOf } from '../domain/errors';
import type { ReceiptSweepPage } from '../domain/receipt-workflow';
import type { Logger } from '../logger';

export interface ReceiptSweepDeps {
  readonly receipts: Pick<ReceiptLog, 'sendersWaiting'>;
  /** Rejects when Temporal does not take it. */
  readonly wake: (senderId: string) => Promise<void>;
  readonly now: () => number;
  readonly log: Logger;
}

/** Receipts younger than this have a workflow that runs, ms: ten times its window. */
const OVERDUE_MS = 30_000;
const PAGE_SIZE = 200;
const CONCURRENCY = 8;

/** One page; what cannot be woken now is found again by the next sweep. */
export async function sweepReceipts(
  { receipts, wake, now, log }: ReceiptSweepDeps,
  after: string,
): Promise<ReceiptSweepPage> {
  const senders = await receipts.sendersWaiting(after, now() - OVERDUE_MS, PAGE_SIZE);
  let woken = 0;
  for (let i = 0; i < senders.length; i += CONCURRENCY) {
    const outcomes = await Promise.allSettled(senders.slice(i, i + CONCURRENCY).map(wake));
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') woken += 1;
      else log.warn({ err: messageOf(outcome.reason) }, 'sender not woken');
    }
  }
  return { woken, next: senders.length < PAGE_SIZE ? undefined : senders.at(-1) };
}
