/** Starts the deliveries that a lost signal did not: a pass over the users for whom something waits. */
import {
  continueAsNew,
  proxyActivities,
  setCurrentDetails,
  workflowInfo,
} from '@temporalio/workflow';
import { INVALID_INPUT } from '../domain/delivery';
import type { DeliveryActivities, SweepResult } from '../domain/delivery';

const { sweepPage } = proxyActivities<DeliveryActivities>({
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
    if (page.next === undefined) return { examined, requested };
    after = page.next;
    if (workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof sweep>({ after, soFar: { examined, requested } });
    }
  }
}
