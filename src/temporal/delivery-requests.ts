/**
 * Requests for `offlineDelivery`, debounced: for one user the first goes out at once, those that
 * follow become one a second at most. So calls to Temporal grow with users, not with messages. A user
 * whose gateways take nothing has a delivery that tries again by itself: messages that go on coming
 * for them ask more rarely still, until they are reached or come anew. A request that is dropped, or that Temporal does not take, is made again by the sweep.
 */
import { LRUCache } from 'lru-cache';
import { WorkflowIdConflictPolicy } from '@temporalio/client';
import { DELIVERY_WORKFLOW, WAKE_SIGNAL } from '../domain/delivery';
import type { DeliveryInput } from '../domain/delivery';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { Temporal } from './client';
import { DebouncedCalls } from './debounced-calls';

/** Time between two calls for one user, ms. */
const DEBOUNCE_MS = 1_000;
/** The same while the user's gateways take nothing: the longest pause of the delivery itself. */
const FAILING_DEBOUNCE_MS = 16_000;
/** How long a page that nobody took counts, ms. */
const FAILING_MS = 60_000;
/** Users with a request under way or within their debounce time; beyond it requests are dropped. */
const MAX_USERS = 50_000;
/** Calls at once: a Temporal server on two cores takes about 100 a second (architecture §2). */
const CONCURRENCY = 16;
/**
 * How long a delivery that was asked for may wait for its turn before the sweep asks again, ms: ten
 * thousand users who come back at once are minutes of work.
 */
const TRUST_MS = 10 * 60_000;
/** For one call, ms. */
const DEADLINE_MS = 3_000;

export interface DeliveryRequestsOptions {
  readonly temporal: Temporal;
  readonly taskQueue: string;
  readonly log: Logger;
  readonly metrics: Metrics;
}

export class DeliveryRequests {
  private readonly calls: DebouncedCalls;
  private readonly asked = new LRUCache<string, true>({ max: MAX_USERS, ttl: TRUST_MS });
  private readonly failing = new LRUCache<string, true>({ max: MAX_USERS, ttl: FAILING_MS });

  constructor(private readonly options: DeliveryRequestsOptions) {
    this.calls = new DebouncedCalls({
      call: async (userId) => {
        await this.start(userId);
        this.asked.set(userId, true);
      },
      pauseMs: (userId) => (this.failing.has(userId) ? FAILING_DEBOUNCE_MS : DEBOUNCE_MS),
      shortestMs: DEBOUNCE_MS,
      concurrency: CONCURRENCY,
      maxKeys: MAX_USERS,
      dropped: () => options.metrics.deliveryStarts.inc({ outcome: 'dropped' }),
      log: options.log,
    });
  }

  /** Asks for a user's delivery; returns at once and never throws. */
  request(userId: string): void {
    this.calls.request(userId);
  }

  /** As {@link request}, for a user who has come anew: their gateway may be another. */
  requestAnew(userId: string): void {
    this.reached(userId);
    this.calls.request(userId);
  }

  /** The user is present, and no gateway took what waits for them. */
  unreachable(userId: string): void {
    this.failing.set(userId, true);
  }

  /** The user's gateways take messages, as far as we know. */
  reached(userId: string): void {
    if (this.failing.delete(userId)) this.calls.shorten(userId);
  }

  /** The user's delivery left something, or something new happened: what was asked for is over. */
  forget(userId: string): void {
    this.asked.delete(userId);
  }

  /** For the sweep: starts the user's delivery unless it is on its way already; tells whether it did. */
  async startMissed(userId: string): Promise<boolean> {
    if (this.calls.has(userId) || this.asked.has(userId)) return false;
    await this.start(userId);
    return true;
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
    await this.calls.close();
  }
}
