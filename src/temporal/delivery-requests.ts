/**
 * Requests for `offlineDelivery`, debounced: for one user the first goes out at once, those that
 * follow become one a second at most. So calls to Temporal grow with users, not with messages.
 * A request that is dropped, or that Temporal does not take, is made again by the sweep.
 */
import { WorkflowIdConflictPolicy } from '@temporalio/client';
import { DELIVERY_WORKFLOW, WAKE_SIGNAL } from '../domain/delivery';
import type { DeliveryInput } from '../domain/delivery';
import { messageOf } from '../domain/errors';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { Temporal } from './client';

/** Time between two calls for one user, ms. */
const DEBOUNCE_MS = 1_000;
/** Users with a request under way or within their debounce time; beyond it requests are dropped. */
const MAX_USERS = 50_000;
/** Calls at once: a Temporal server on two cores takes about 100 a second (architecture §2). */
const CONCURRENCY = 16;
/** For one call, ms. */
const DEADLINE_MS = 3_000;

export interface DeliveryRequestsOptions {
  readonly temporal: Temporal;
  readonly taskQueue: string;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class DeliveryRequests {
  /** Users who are not to be called for now; true when they were requested again meanwhile. */
  private readonly recent = new Map<string, { again: boolean; timer?: NodeJS.Timeout }>();
  private readonly queue: string[] = [];
  private readonly calls = new Set<Promise<void>>();
  private closed = false;

  constructor(private readonly options: DeliveryRequestsOptions) {}

  /** Asks for a user's delivery; returns at once and never throws. */
  request(userId: string): void {
    if (this.closed) return;
    const recent = this.recent.get(userId);
    if (recent) {
      recent.again = true;
      return;
    }
    if (this.recent.size >= MAX_USERS) {
      this.options.metrics.deliveryStarts.inc({ outcome: 'dropped' });
      return;
    }
    this.recent.set(userId, { again: false });
    this.enqueue(userId);
  }

  /** Starts the user's delivery, or wakes the one that runs. Rejects when Temporal does not take it. */
  async start(userId: string): Promise<void> {
    const { temporal, taskQueue, metrics } = this.options;
    const input: DeliveryInput = { userId };
    try {
      await temporal.within(DEADLINE_MS, (client) =>
        client.workflow.signalWithStart(DELIVERY_WORKFLOW, {
          workflowId: `offline-delivery/${userId}`,
          workflowIdConflictPolicy: WorkflowIdConflictPolicy.USE_EXISTING,
          taskQueue,
          args: [input],
          typedSearchAttributes: [
            { key: SEARCH_ATTRIBUTES.userId, value: userId },
            { key: SEARCH_ATTRIBUTES.request, value: 'delivery' },
            { key: SEARCH_ATTRIBUTES.outcome, value: 'running' },
          ],
          signal: WAKE_SIGNAL,
        }),
      );
      metrics.deliveryStarts.inc({ outcome: 'requested' });
    } catch (error) {
      metrics.deliveryStarts.inc({ outcome: 'failed' });
      throw error;
    }
  }

  /** Drops what waits, and resolves when the calls under way have ended. */
  async close(): Promise<void> {
    this.closed = true;
    this.queue.length = 0;
    for (const { timer } of this.recent.values()) clearTimeout(timer);
    await Promise.all(this.calls);
  }

  private enqueue(userId: string): void {
    this.queue.push(userId);
    this.next();
  }

  private next(): void {
    if (this.calls.size >= CONCURRENCY) return;
    const userId = this.queue.shift();
    if (userId === undefined) return;
    const call = this.call(userId).finally(() => {
      this.calls.delete(call);
      if (!this.closed) this.next();
    });
    this.calls.add(call);
  }

  private async call(userId: string): Promise<void> {
    // What is requested from here on may have come too late for this call.
    const state = { again: false, timer: setTimeout(() => this.afterPause(userId), DEBOUNCE_MS) };
    this.recent.set(userId, state);
    try {
      await this.start(userId);
    } catch (error) {
      this.options.log.warn({ err: messageOf(error) }, 'delivery not requested, left to the sweep');
    }
  }

  private afterPause(userId: string): void {
    const again = this.recent.get(userId)?.again ?? false;
    this.recent.delete(userId);
    if (again) this.request(userId);
  }
}
