/** Read receipts: what one is, and how its time is made believable. Times are unix ms. */
import type { Conversation } from './ids';

/** That a user has read a message on a device. */
export interface Receipt {
  readonly msgId: string;
  /** Whose message was read. */
  readonly senderId: string;
  readonly conversation: Conversation;
  readonly readerId: string;
  /** '' when the client did not say. */
  readonly deviceId: string;
  readonly readAt: number;
}

/** Who wrote a message to whom; content is of no concern to receipts. */
export interface MessageFacts {
  readonly msgId: string;
  readonly senderId: string;
  readonly conversation: Conversation;
  /** When we took it; `undefined` while it is not stored. */
  readonly acceptedAt: number | undefined;
}

/** What the receipts of one message come to. */
export interface ReadSummary {
  readonly readerCount: number;
  readonly firstReadAt: number;
  readonly lastReadAt: number;
  readonly firstReaders: readonly string[];
}

/** How many readers a summary names. */
export const FIRST_READERS = 10;

/**
 * The reader's time, kept within what is possible: not before we took the message, not after now. A
 * clock that is off must not cost the receipt.
 */
export function believableReadTime(
  given: number | undefined,
  acceptedAt: number | undefined,
  now: number,
): number {
  return Math.min(now, Math.max(given ?? now, acceptedAt ?? 0));
}

/** The value on `read_receipt_events` (contracts.md); its key is the sender. */
export function encodeReceipt(receipt: Receipt): string {
  return JSON.stringify({
    msg_id: receipt.msgId,
    sender_id: receipt.senderId,
    reader_id: receipt.readerId,
    conversation_id: receipt.conversation.id,
    read_at: receipt.readAt,
    device_id: receipt.deviceId === '' ? undefined : receipt.deviceId,
  });
}
