/**
 * Rotation of the master key: every data key that an older one wraps is wrapped by the current one.
 * A run that was ended goes on where it was when it is started again: what is done is not found any more.
 */
import {
  ApplicationFailure,
  continueAsNew,
  defineQuery,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import { KEYS_LEFT } from '../domain/key-rotation';
import type { KeyActivities, RewrapResult } from '../domain/key-rotation';

export const rewrapStatus = defineQuery<RewrapResult>('status');

const { rewrapPage } = proxyActivities<KeyActivities>({
  startToCloseTimeout: '5 minutes',
  heartbeatTimeout: '10 seconds',
  // Keys stay readable meanwhile: an outage of a day is sat out.
  scheduleToCloseTimeout: '1 day',
  retry: { maximumInterval: '1 minute' },
});

/** Where a run that continues as new goes on. */
export interface RewrapInput {
  readonly after: string;
  readonly soFar: RewrapResult;
}

/** Fails with the type `KeysLeft` when some keys could not be unwrapped; all others are done by then. */
export async function rewrapKeys(input?: RewrapInput): Promise<RewrapResult> {
  let { rewrapped, left } = input?.soFar ?? { rewrapped: 0, left: 0 };
  let after = input?.after ?? '';
  setHandler(rewrapStatus, () => ({ rewrapped, left }));
  for (;;) {
    const page = await rewrapPage({ after });
    rewrapped += page.rewrapped;
    left += page.left;
    setCurrentDetails(`${rewrapped} keys wrapped anew, ${left} that do not unwrap.`);
    if (page.next === undefined) break;
    after = page.next;
    if (workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof rewrapKeys>({ after, soFar: { rewrapped, left } });
    }
  }
  if (left > 0) {
    throw ApplicationFailure.nonRetryable(
      `${left} keys do not unwrap, ${rewrapped} are wrapped anew`,
      KEYS_LEFT,
    );
  }
  return { rewrapped, left };
}
