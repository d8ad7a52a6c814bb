/** What the deletion of a message, its activities and those who ask for it agree on. */
import type { GdprCounts, GdprInput } from './gdpr';
import type { ConversationType } from './ids';

export interface DeleteInput extends GdprInput {
  readonly messageId: string;
  readonly senderId: string;
  readonly conversation: { readonly type: ConversationType; readonly key: string };
  /** Whose view alone it is taken out of; without it, everybody's. */
  readonly forUser?: string;
}

/** The activities, each one step. All are idempotent. */
export interface DeleteActivities {
  /** Lists the id as erased: from then on nothing stores or routes it any more. */
  listErased(input: DeleteInput): Promise<GdprCounts>;
  /** What Redis remembers of the message, and requests of it on their way through Temporal. */
  forgetInRedis(input: DeleteInput): Promise<GdprCounts>;
  /** The content. Whatever was storing the message meanwhile has ended when this has. */
  removeContent(input: DeleteInput): Promise<GdprCounts>;
  /** Exports that may hold it: those with messages of its sender. They can be asked for again. */
  removeExports(input: DeleteInput): Promise<GdprCounts>;
  /** Its entry in the log of a large group. */
  removeFromGroupLog(input: DeleteInput): Promise<GdprCounts>;
  /** Its rows in inboxes, and what they add to the numbers of waiting messages. */
  clearInboxes(input: DeleteInput): Promise<GdprCounts>;
  /** Who has read it, and the sums of that. */
  removeReceipts(input: DeleteInput): Promise<GdprCounts>;
  /** What Redis remembers of how many messages wait for its recipients. */
  forgetCounts(input: DeleteInput): Promise<GdprCounts>;
  /** When the copies on Kafka are gone, by topic, unix ms; keeps the id listed until then. */
  dateKafkaCopies(input: DeleteInput): Promise<GdprCounts>;
  /** Takes the message out of one user's view. */
  hideMessage(input: DeleteInput & { readonly forUser: string }): Promise<GdprCounts>;
}
