/**
 * Wakes `readReceiptAggregation` of the senders whose messages were read: one call to Temporal for a
 * sender and window, from all servers together. The workflow stays for longer than a window after
 * its last wake, so receipts that came without a call of their own are seen too; what a lost call
 * leaves behind is found by the sweep.
 */
import { WorkflowIdConflictPolicy } from '@temporalio/client';
import type { WakeClaims } from '../activities/redis/wake-claims';
import { messageOf } from '../domain/errors';
import { RECEIPTS_SIGNAL, RECEIPTS_WORKFLOW, WAKE_PAUSE_MS } from '../domain/receipt-workflow';
import type { ReceiptsInput } from '../domain/receipt-workflow';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { Temporal } from './client';
import { DebouncedCalls } from './debounced-calls';

/** Senders within their window in this process; beyond it wakes are left to the sweep. */
const MAX_SENDERS = 50_000;
const CONCURRENCY = 16;
/** For one call, ms. */
const DEADLINE_MS = 3_000;

export interface ReceiptWakesOptions {
  readonly temporal: Temporal;
  readonly taskQueue: string;
  readonly claims: WakeClaims;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class ReceiptWakes {
  private readonly calls: DebouncedCalls;

  constructor(private readonly options: ReceiptWakesOptions) {
    this.calls = new DebouncedCalls({
      call: (senderId) => this.claimAndWake(senderId),
      pauseMs: () => WAKE_PAUSE_MS,
      shortestMs: WAKE_PAUSE_MS,
      concurrency: CONCURRENCY,
      maxKeys: MAX_SENDERS,
      dropped: () => options.metrics.receiptWakes.inc({ outcome: 'dropped' }),
      log: options.log,
    });
  }

  /** Asks that a sender's receipts be published; returns at once and never throws. */
  request(senderId: string): void {
    this.calls.request(senderId);
  }

  /** Starts or wakes the sender's workflow now. Rejects when Temporal does not take it. */
  async wake(senderId: string): Promise<void> {
    const { temporal, taskQueue, metrics } = this.options;
    const input: ReceiptsInput = { senderId };
    try {
      await temporal.within(DEADLINE_MS, (client) =>
        client.workflow.signalWithStart(RECEIPTS_WORKFLOW, {
          workflowId: `read-receipts/${senderId}`,
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
          taskQueue,
          args: [input],
          signal: RECEIPTS_SIGNAL,
        }),
      );
      metrics.receiptWakes.inc({ outcome: 'woken' });
    } catch (error) {
      metrics.receiptWakes.inc({ outcome: 'failed' });
      throw error;
    }
  }

  /** Drops what waits, and resolves when the calls under way have ended. */
  async close(): Promise<void> {
    await this.calls.close();
  }

  private async claimAndWake(senderId: string): Promise<void> {
    if (!(await this.claim(senderId))) {
      this.options.metrics.receiptWakes.inc({ outcome: 'saved' });
      return;
    }
    try {
      await this.wake(senderId);
    } catch (error) {
      await this.unclaim(senderId);
      throw error;
    }
  }

  /** Without Redis each server wakes for itself. */
  private async claim(senderId: string): Promise<boolean> {
    try {
      return await this.options.claims.claim(senderId, WAKE_PAUSE_MS);
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'wake not claimed, waking all the same');
      return true;
    }
  }

  private async unclaim(senderId: string): Promise<void> {
    try {
      await this.options.claims.release(senderId);
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'claim not released, it ends by itself');
    }
  }
}
