/** The search attributes by which operators find our workflows (architecture §2). */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';

export const SEARCH_ATTRIBUTES = {
  userId: defineSearchAttributeKey('ImUserId', SearchAttributeType.KEYWORD),
  messageId: defineSearchAttributeKey('ImMessageId', SearchAttributeType.KEYWORD),
  requestedBy: defineSearchAttributeKey('ImRequestedBy', SearchAttributeType.KEYWORD),
  /** delivery, receipts, delete, export, erase */
  request: defineSearchAttributeKey('ImRequest', SearchAttributeType.KEYWORD),
  outcome: defineSearchAttributeKey('ImOutcome', SearchAttributeType.KEYWORD),
  pending: defineSearchAttributeKey('ImPending', SearchAttributeType.INT),
} as const;
