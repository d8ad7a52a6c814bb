/**
 * Tells one sender who has read their messages: publishes what is unpublished, again and again while
 * receipts come, and ends when none can be left. Receipts are in MySQL; here are only counts.
 */
import {
  continueAsNew,
  defineQuery,
  defineSignal,
  proxyActivities,
  setCurrentDetails,
  setHandler,
  sleep,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { INVALID_INPUT } from '../domain/delivery';
import { RECEIPT_WINDOW_MS, RECEIPTS_SIGNAL } from '../domain/receipt-workflow';
import type {
  ReceiptActivities,
  ReceiptsInput,
  ReceiptsResult,
  ReceiptsStatus,
} from '../domain/receipt-workflow';
import { SEARCH_ATTRIBUTES } from '../domain/search-attributes';

export const receiptsSignal = defineSignal(RECEIPTS_SIGNAL);
export const receiptsStatusQuery = defineQuery<ReceiptsStatus>('status');

const { publishReceipts } = proxyActivities<ReceiptActivities>({
  startToCloseTimeout: '2 minutes',
  // How soon another worker takes over from one that was killed.
  heartbeatTimeout: '10 seconds',
  // Outages of Kafka shorter than this are sat out; then the sweep is the one to start again.
  scheduleToCloseTimeout: '30 minutes',
  retry: {
    initialInterval: '500 milliseconds',
    backoffCoefficient: 2,
    maximumInterval: '10 seconds',
    nonRetryableErrorTypes: [INVALID_INPUT],
  },
});

/** See the file's head. */
export async function readReceiptAggregation(input: ReceiptsInput): Promise<ReceiptsResult> {
  const { senderId } = input;
  let published = input.published ?? 0;
  let step: ReceiptsStatus['step'] = 'publishing';
  let lastWake = Date.now();
  setHandler(receiptsSignal, () => void (lastWake = Date.now()));
  setHandler(receiptsStatusQuery, () => ({ senderId, step, published }));
  upsertSearchAttributes([
    { key: SEARCH_ATTRIBUTES.userId, value: senderId },
    { key: SEARCH_ATTRIBUTES.request, value: 'receipts' },
    { key: SEARCH_ATTRIBUTES.outcome, value: 'running' },
  ]);

  for (;;) {
    const began = Date.now();
    step = 'publishing';
    const page = await publishReceipts({ senderId });
    published += page.published;
    setCurrentDetails(`${published} receipts published.`);
    if (!page.more) {
      // Wakes that came while the page ran moved `lastWake` beyond `began`.
      if (began - lastWake >= RECEIPT_WINDOW_MS) break;
      step = 'waiting';
      await sleep(RECEIPT_WINDOW_MS);
    }
    // The next run waits a window of its own before it ends, so no wake is lost.
    if (workflowInfo().continueAsNewSuggested) {
      await continueAsNew<typeof readReceiptAggregation>({ senderId, published });
    }
  }
  step = 'done';
  upsertSearchAttributes([{ key: SEARCH_ATTRIBUTES.outcome, value: 'done' }]);
  return { published };
}
