/**
 * Starts what a lost signal did not: a pass over the users for whom something waits, and one over the
 * senders of whose receipts they have not heard, and one over jobs about personal data.
 */
import {
  continueAsNew,
  patched,
  proxyActivities,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import { INVALID_INPUT } from '../domain/delivery';
import type { DeliveryActivities, SweepResult } from '../domain/delivery';
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
  let { examined, requested } = input?.soFar ?? { examined: 0, requested: 0 };
  let after = input?.after ?? '';
  for (;;) {
    const page = await sweepPage({ after });
    examined += page.examined;
    requested += page.requested;
    setCurrentDetails(
      `${examined} users with waiting messages, ${requested} deliveries requested.`,
    );
    if (page.next === undefined) break;
    after = page.next;
    if (workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof sweep>({ after, soFar: { examined, requested } });
    }
  }
  if (patched('sweep-receipts')) await sweepAllReceipts();
  if (patched('sweep-gdpr')) await sweepAllGdprJobs();
  return { examined, requested };
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
