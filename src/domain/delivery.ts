/** What the delivery workflow, its activities and those who start it agree on. Ids and counts only. */

export const DELIVERY_WORKFLOW = 'offlineDelivery';
export const SWEEP_WORKFLOW = 'sweep';
/** Tells a delivery that something changed for its user: a message came, or a device. */
export const WAKE_SIGNAL = 'wake';

export interface DeliveryInput {
  readonly userId: string;
  /** Messages delivered by the runs before, when the workflow continues as new. */
  readonly delivered?: number;
}

/**
 * How a page of the inbox ended: there is more; nothing waits; the user has no device; the user has
 * devices, and none took the next message.
 */
export type PageOutcome = 'more' | 'drained' | 'absent' | 'unreachable';

export interface PageResult {
  readonly outcome: PageOutcome;
  /** Messages delivered by this page. */
  readonly delivered: number;
  /** Messages that wait now. */
  readonly pending: number;
}

export interface DeliveryResult {
  readonly outcome: 'drained' | 'absent';
  readonly delivered: number;
  readonly pending: number;
}

/** What the `status` query of a delivery answers. */
export interface DeliveryStatus {
  readonly userId: string;
  readonly step: 'delivering' | 'waiting' | 'done' | 'failed';
  readonly delivered: number;
  readonly pending: number;
  /** Pauses since something was delivered last. */
  readonly attempts: number;
}

export interface SweepPage {
  readonly examined: number;
  readonly requested: number;
  /** Where the next page begins; `undefined` after the last one. */
  readonly next?: string;
}

export interface SweepResult {
  readonly examined: number;
  readonly requested: number;
}

/** Types of failures that retrying cannot mend. */
export const GATEWAY_UNREACHABLE = 'GatewayUnreachable';
export const INVALID_INPUT = 'InvalidInput';
/** Parts of a sweep were not done; the next one does them. */
export const PARTS_LEFT = 'PartsLeft';

/** The activities the workflows call. */
export interface DeliveryActivities {
  /** Pushes the first messages that wait for the user, and marks what arrived. */
  deliverInboxPage(input: { userId: string }): Promise<PageResult>;
  /** The same within a few seconds, for a local activity: the first page of a delivery, and after a pause. */
  deliverFirstPage(input: { userId: string }): Promise<PageResult>;
  /** Makes the sweep leave the user alone for a while. */
  recordDeliveryFailure(input: { userId: string }): Promise<void>;
  /** Requests the delivery of present users with waiting messages, a page of them. */
  sweepPage(input: { after: string }): Promise<SweepPage>;
}
