/** What the receipts workflow, its activities and those who start it agree on. Ids and counts only. */

export const RECEIPTS_WORKFLOW = 'readReceiptAggregation';
/** Tells the workflow of a sender that there are receipts. */
export const RECEIPTS_SIGNAL = 'receipts';

/** Ms in which one wake stands for all receipts of a sender, from all servers together. */
export const WAKE_PAUSE_MS = 2_000;
/**
 * Ms that the workflow stays after its last wake: a receipt whose own wake was saved by that one has
 * been written by then, with a second to spare for clocks and commits.
 */
export const RECEIPT_WINDOW_MS = 3_000;

export interface ReceiptsInput {
  readonly senderId: string;
  /** Of the runs before, when the workflow continues as new. */
  readonly published?: number;
}

export interface ReceiptsResult {
  readonly published: number;
}

/** What the `status` query answers. */
export interface ReceiptsStatus {
  readonly senderId: string;
  readonly step: 'publishing' | 'waiting' | 'done';
  readonly published: number;
}

export interface PublishResult {
  readonly published: number;
  /** There are more: call again. */
  readonly more: boolean;
}

export interface ReceiptSweepPage {
  /** Senders whose workflow was woken. */
  readonly woken: number;
  /** Where the next page begins; `undefined` after the last one. */
  readonly next?: string;
}

/** The activities the workflows call. */
export interface ReceiptActivities {
  /** Publishes, sums up and pushes receipts for one sender, as many as a few seconds allow. */
  publishReceipts(input: { senderId: string }): Promise<PublishResult>;
  /** Wakes the workflows of senders whose receipts have waited too long, a page of them. */
  sweepReceipts(input: { after: string }): Promise<ReceiptSweepPage>;
}
