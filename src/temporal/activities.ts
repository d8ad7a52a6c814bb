/** The activities as Temporal calls them: heartbeats, cancellation, and failures without content. */
import {
  activityInfo,
  ApplicationFailure,
  cancellationSignal,
  heartbeat,
} from '@temporalio/activity';
import type { Mailbox } from '../activities/mysql/mailbox';
import { INVALID_INPUT } from '../domain/delivery';
import type { DeliveryActivities, PageResult } from '../domain/delivery';
import { idProblem, MAX_USER_ID_BYTES } from '../domain/ids';
import type { KeyActivities } from '../domain/key-rotation';
import type { ReceiptActivities } from '../domain/receipt-workflow';
import type { PurgePage, RetentionActivities, RetentionClass } from '../domain/retention';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { InboxDelivery } from '../routing/deliver-inbox';
import type { ReceiptPublisher } from '../routing/publish-receipts';
import { rewrapPage } from '../routing/rewrap-keys';
import type { RewrapDeps } from '../routing/rewrap-keys';
import { sweepReceipts } from '../routing/sweep-receipts';
import type { ReceiptSweepDeps } from '../routing/sweep-receipts';
import { sweepInboxes } from '../routing/sweep-inboxes';
import type { SweepDeps } from '../routing/sweep-inboxes';
import type { DeliveryRequests } from './delivery-requests';

/** Well below the heartbeat time-outs of the workflows, ms. */
const HEARTBEAT_MS = 2_000;
/** How long a first page pushes, ms: it is done well within its workflow task (10 s). */
const FIRST_PAGE_MS = 3_000;

export interface ActivityDeps extends SweepDeps, ReceiptSweepDeps {
  readonly publisher: ReceiptPublisher;
  readonly delivery: InboxDelivery;
  readonly requests: SweepDeps['requests'] &
    Pick<DeliveryRequests, 'forget' | 'reached' | 'unreachable'>;
  readonly mailbox: Pick<Mailbox, 'recordFailure'>;
  readonly userKeys: RewrapDeps;
  readonly retention: RetentionActivities;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export function createActivities(
  deps: ActivityDeps,
): DeliveryActivities & KeyActivities & ReceiptActivities & RetentionActivities {
  const run = <T>(work: () => Promise<T>): Promise<T> => withHeartbeats(deps.log, work);
  return {
    ...retentionActivities(deps, run),
    deliverInboxPage: ({ userId }) => run(() => deliverPage(deps, userId)),
    deliverFirstPage: ({ userId }) =>
      withoutHeartbeats(deps.log, () => deliverPage(deps, userId, FIRST_PAGE_MS)),
    recordDeliveryFailure: ({ userId }) =>
      run(() => deps.mailbox.recordFailure(requireUser(userId), deps.now())),
    sweepPage: ({ after }) => run(() => sweepInboxes(deps, after)),
    rewrapPage: ({ after }) => run(() => rewrapPage(deps.userKeys, after)),
    publishReceipts: ({ senderId }) =>
      run(() => deps.publisher.publish(requireUser(senderId), cancellationSignal())),
    sweepReceipts: ({ after }) => run(() => sweepReceipts(deps, after)),
  };
}

function retentionActivities(
  { retention, metrics }: ActivityDeps,
  run: <T>(work: () => Promise<T>) => Promise<T>,
): RetentionActivities {
  const purge = <P extends PurgePage<unknown>>(
    name: RetentionClass,
    work: () => Promise<P>,
  ): Promise<P> =>
    run(async () => {
      const page = await work();
      metrics.retentionRemoved.inc({ class: name }, page.removed);
      return page;
    });
  return {
    expireInbox: (input) => purge('expireInbox', () => retention.expireInbox(input)),
    purgeInbox: (input) => purge('purgeInbox', () => retention.purgeInbox(input)),
    purgeMessages: (input) => purge('purgeMessages', () => retention.purgeMessages(input)),
    purgeReceipts: (input) => purge('purgeReceipts', () => retention.purgeReceipts(input)),
    purgeReadSummaries: (input) =>
      purge('purgeReadSummaries', () => retention.purgeReadSummaries(input)),
    purgeGroupLogs: (input) => purge('purgeGroupLogs', () => retention.purgeGroupLogs(input)),
    purgeErasedIds: (input) => purge('purgeErasedIds', () => retention.purgeErasedIds(input)),
    purgeErasureConfirmations: (input) =>
      purge('purgeErasureConfirmations', () => retention.purgeErasureConfirmations(input)),
    purgeExportBundles: (input) =>
      purge('purgeExportBundles', () => retention.purgeExportBundles(input)),
    purgeGdprJobs: (input) => purge('purgeGdprJobs', () => retention.purgeGdprJobs(input)),
  };
}

async function deliverPage(
  { delivery, requests }: ActivityDeps,
  userId: string,
  pushMs?: number,
): Promise<PageResult> {
  let left = true;
  try {
    const page = await delivery.deliverPage(requireUser(userId), cancellationSignal(), pushMs);
    left = page.pending > 0;
    if (page.outcome === 'unreachable') requests.unreachable(userId);
    else requests.reached(userId);
    return page;
  } finally {
    // What is left the sweep may ask for again.
    if (left) requests.forget(userId);
  }
}

/** A person may start a delivery by hand, with anything as its input. */
function requireUser(userId: string): string {
  const problem = typeof userId === 'string' ? idProblem(userId, MAX_USER_ID_BYTES) : 'is no text';
  if (problem) throw ApplicationFailure.nonRetryable(`userId ${problem}`, INVALID_INPUT);
  return userId;
}

/** Runs an activity's work, with heartbeats, and its failure as one that Temporal may keep. */
export async function withHeartbeats<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  const timer = setInterval(() => heartbeat(), HEARTBEAT_MS);
  try {
    return await withoutHeartbeats(log, work);
  } finally {
    clearInterval(timer);
  }
}

/** Local activities have none. */
async function withoutHeartbeats<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw asFailure(error, log);
  }
}

/**
 * Temporal keeps failures for weeks, and an error of a driver may quote a statement with its values:
 * only its name goes there.
 */
function asFailure(error: unknown, log: Logger): ApplicationFailure {
  if (error instanceof ApplicationFailure) return error;
  const type = errorType(error);
  const { activityType, attempt } = activityInfo();
  log.warn({ activity: activityType, attempt, type }, 'activity failed');
  return ApplicationFailure.retryable(`${activityType} failed: ${type}`, type);
}

/** The name of an error, which says nothing about what it was about. */
export function errorType(error: unknown): string {
  const { code, name, message } = error as { code?: unknown; name?: string; message?: string };
  // Redis begins with its code: `WRONGTYPE Operation against ...`.
  const reply = name === 'ReplyError' ? message?.match(/^[A-Z]+/)?.[0] : undefined;
  return typeof code === 'string' ? code : (reply ?? name ?? 'Error');
}
