/**
 * Delivers what waits for one user, page by page, until nothing is left or the user has gone.
 *
 * Woken by `wake` when a message or a device came. While the user is present and no gateway takes
 * anything it tries again with growing pauses, then fails for operators to see; the messages stay in
 * the inbox.
 */
import {
  ApplicationFailure,
  condition,
  continueAsNew,
  defineQuery,
  defineSignal,
  isCancellation,
  log,
  patched,
  proxyActivities,
  proxyLocalActivities,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { GATEWAY_UNREACHABLE, INVALID_INPUT, WAKE_SIGNAL } from '../domain/delivery';
import type {
  DeliveryActivities,
  DeliveryInput,
  DeliveryResult,
  DeliveryStatus,
  PageResult,
} from '../domain/delivery';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';
import { Backoff } from './backoff';

export const wakeSignal = defineSignal(WAKE_SIGNAL);
export const statusQuery = defineQuery<DeliveryStatus>('status');

const { deliverInboxPage } = proxyActivities<DeliveryActivities>({
  // A page gives itself 45 s for pushes and at most 60 s more to mark what it pushed.
  startToCloseTimeout: '2 minutes',
  // How soon another worker takes over from one that was killed.
  heartbeatTimeout: '10 seconds',
  // Outages of MySQL shorter than this are sat out; then the sweep is the one to start again.
  scheduleToCloseTimeout: '30 minutes',
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '10 seconds',
    nonRetryableErrorTypes: [INVALID_INPUT],
  },
});
/**
 * In the workflow task itself, which spares most deliveries an activity: what waits is pushed and marked
 * with one task of Temporal's, and who cannot be reached is found out with one. Not tried again: what it
 * leaves, or fails at, is for the pages above.
 */
const { deliverFirstPage } = proxyLocalActivities<DeliveryActivities>({
  // It pushes for 3 s, but has to mark what it pushed, as long as the pages above.
  startToCloseTimeout: '2 minutes',
  retry: { maximumAttempts: 1 },
});
const { recordDeliveryFailure } = proxyActivities<DeliveryActivities>({
  startToCloseTimeout: '10 seconds',
  scheduleToCloseTimeout: '1 minute',
  retry: { maximumInterval: '5 seconds', nonRetryableErrorTypes: [INVALID_INPUT] },
});

/** The change that made a delivery's first page a local activity. */
const FIRST_PAGE = 'first-page';
/** The change that made the first page after each pause one, too. */
const QUICK_ATTEMPTS = 'quick-attempts';

/** See the file's head. Fails with the type `GatewayUnreachable` when patience ends. */
export async function offlineDelivery(input: DeliveryInput): Promise<DeliveryResult> {
  return new Delivery(input).run();
}

class Delivery {
  private readonly userId: string;
  private readonly backoff = new Backoff();
  private delivered: number;
  private pending = 0;
  private step: DeliveryStatus['step'] = 'delivering';
  private woken = false;

  constructor(input: DeliveryInput) {
    this.userId = input.userId;
    this.delivered = input.delivered ?? 0;
    // The handlers never wait, so none can be unfinished when the workflow ends or continues as new.
    setHandler(wakeSignal, () => void (this.woken = true));
    setHandler(statusQuery, () => this.status());
  }

  async run(): Promise<DeliveryResult> {
    this.label();
    this.describe('Delivering waiting messages');
    // A run that continues another has many pages.
    const isFirstRun = workflowInfo().continuedFromExecutionRunId === undefined;
    let isQuick = isFirstRun && patched(FIRST_PAGE);
    for (;;) {
      const page = isQuick ? await this.quickPage() : undefined;
      const { outcome } = page ?? (await this.page());
      isQuick = outcome === 'unreachable' && patched(QUICK_ATTEMPTS);
      if (outcome === 'unreachable') await this.pause();
      // A wake that came during the page may be about a message that the page did not see.
      else if (outcome !== 'more' && !this.woken) return this.end(outcome);
      // The next run begins with a page, so a wake that arrives now is heeded too.
      if (workflowInfo().continueAsNewSuggested) {
        await continueAsNew<typeof offlineDelivery>({
          userId: this.userId,
          delivered: this.delivered,
        });
      }
    }
  }

  /** Who started us by hand has not labeled us; everyone else has, which spares a write. */
  private label(): void {
    const { typedSearchAttributes: given } = workflowInfo();
    if (given.get(SEARCH_ATTRIBUTES.userId) === this.userId) return;
    upsertSearchAttributes([
      { key: SEARCH_ATTRIBUTES.userId, value: this.userId },
      { key: SEARCH_ATTRIBUTES.request, value: 'delivery' },
      { key: SEARCH_ATTRIBUTES.outcome, value: 'running' },
    ]);
  }

  /** `undefined`: it was not to be had this way. */
  private async quickPage(): Promise<PageResult | undefined> {
    this.step = 'delivering';
    this.woken = false;
    try {
      return this.count(await deliverFirstPage({ userId: this.userId }));
    } catch (error) {
      if (isCancellation(error)) throw error;
      return undefined;
    }
  }

  private count(page: PageResult): PageResult {
    this.delivered += page.delivered;
    this.pending = page.pending;
    if (page.delivered > 0) this.backoff.reset();
    return page;
  }

  private async page(): Promise<PageResult> {
    this.step = 'delivering';
    this.woken = false;
    try {
      return this.count(await deliverInboxPage({ userId: this.userId }));
    } catch (error) {
      if (!isCancellation(error)) {
        this.step = 'failed';
        this.conclude('error', 'The inbox could not be read or marked');
      }
      throw error;
    }
  }

  /** Waits before the next attempt, or fails when patience is at its end. */
  private async pause(): Promise<void> {
    const ms = this.backoff.next(Date.now());
    if (ms === undefined) return this.fail();
    this.step = 'waiting';
    this.describe(`No gateway takes messages, attempt ${this.backoff.attempts}, trying again`);
    await condition(() => this.woken, ms);
  }

  private end(outcome: DeliveryResult['outcome']): DeliveryResult {
    this.step = 'done';
    this.conclude(outcome, outcome === 'drained' ? 'Nothing waits any more' : 'The user has gone');
    return { outcome, delivered: this.delivered, pending: this.pending };
  }

  private async fail(): Promise<never> {
    this.step = 'failed';
    try {
      await recordDeliveryFailure({ userId: this.userId });
    } catch (error) {
      if (isCancellation(error)) throw error;
      log.warn('the failure could not be recorded; the sweep may start the delivery again soon');
    }
    this.conclude('gateway_unreachable', 'The user is present, but no gateway takes messages');
    throw ApplicationFailure.nonRetryable(
      `user ${this.userId} is present but no gateway takes messages: ` +
        `${this.delivered} delivered, ${this.pending} waiting`,
      GATEWAY_UNREACHABLE,
    );
  }

  private conclude(outcome: string, line: string): void {
    upsertSearchAttributes([
      { key: SEARCH_ATTRIBUTES.outcome, value: outcome },
      { key: SEARCH_ATTRIBUTES.pending, value: this.pending },
    ]);
    this.describe(line);
  }

  private describe(line: string): void {
    setCurrentDetails(`${line}: ${this.delivered} delivered, ${this.pending} waiting.`);
  }

  private status(): DeliveryStatus {
    return {
      userId: this.userId,
      step: this.step,
      delivered: this.delivered,
      pending: this.pending,
      attempts: this.backoff.attempts,
    };
  }
}
