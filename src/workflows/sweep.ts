/**
 * Starts what a lost signal did not: a pass over the users for whom something waits, and one over the
 * senders of whose receipts they have not heard, and one over jobs about personal data. A pass that
 * cannot be made now does not keep the others; the sweep then fails with `PartsLeft`.
 */
import {
  ActivityFailure,
  ApplicationFailure,
  continueAsNew,
  isCancellation,
  patched,
  proxyActivities,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import { INVALID_INPUT, PARTS_LEFT } from '../domain/delivery';
import type { DeliveryActivities, SweepPage, SweepResult } from '../domain/delivery';
import type { GdprJobActivities } from '../domain/gdpr';
import type { ReceiptActivities } from '../domain/receipt-workflow';

const { sweepPage, sweepReceipts, sweepGdprJobs } = proxyActivities<
  DeliveryActivities & ReceiptActivities & GdprJobActivities
>({
  startToCloseTimeout: '1 minute',
  heartbeatTimeout: '10 seconds',
  // The next sweep comes soon: this one need not outlast an outage.
  scheduleToCloseTimeout: '5 minutes',
  retry: { maximumInterval: '10 seconds', nonRetryableErrorTypes: [INVALID_INPUT] },
});

/** Where a sweep that continues as new goes on. */
export interface SweepInput {
  readonly after: string;
  readonly soFar: SweepResult;
}

export async function sweep(input?: SweepInput): Promise<SweepResult> {
  const result = { ...(input?.soFar ?? { examined: 0, requested: 0 }) };
  const left: string[] = [];
  const part = async (name: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (isCancellation(error) || !(error instanceof ActivityFailure)) throw error;
      if (!patched('sweep-other-parts')) throw error;
      left.push(name);
    }
  };
  await part('deliveries', () => sweepAllInboxes(result, input?.after ?? ''));
  if (patched('sweep-receipts')) await part('receipts', sweepAllReceipts);
  if (patched('sweep-gdpr')) await part('jobs', sweepAllGdprJobs);
  if (left.length > 0) {
    throw ApplicationFailure.create({
      message: `not swept: ${left.join(', ')}`,
      type: PARTS_LEFT,
      nonRetryable: true,
      details: [result],
    });
  }
  return result;
}

/** Users with waiting messages, and readers of large groups; a page at a time. */
async function sweepAllInboxes(
  result: { examined: number; requested: number },
  from: string,
): Promise<void> {
  for (let after: string | undefined = from; after !== undefined;) {
    const page: SweepPage = await sweepPage({ after });
    result.examined += page.examined;
    result.requested += page.requested;
    setCurrentDetails(
      `${result.examined} users with waiting messages, ${result.requested} deliveries requested.`,
    );
    after = page.next;
    if (after !== undefined && workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof sweep>({ after, soFar: result });
    }
  }
}

/** Senders with receipts that nobody published; a page at a time. */
async function sweepAllReceipts(): Promise<void> {
  let after: string | undefined = '';
  while (after !== undefined) after = (await sweepReceipts({ after })).next;
}

/** Jobs whose workflow was not started; a page at a time. */
async function sweepAllGdprJobs(): Promise<void> {
  let after: string | undefined = '';
  while (after !== undefined) after = (await sweepGdprJobs({ after })).next;
}
