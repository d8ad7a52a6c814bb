/** Users who were erased, as all processes know of them, and the workflow that erases one. */
import type { GdprCounts, GdprExpiry, GdprInput } from './gdpr';

/** How often a process looks for users who were erased, ms. */
export const ERASED_POLL_MS = 1_000;
/**
 * How long after its last look a process still believes what it remembers of keys, ms. Once this has
 * gone by since a user's keys were destroyed, no process opens anything with them.
 */
export const ERASED_LEASE_MS = 5_000;

/** What a process knows of erased users, without asking anybody. */
export interface ErasedView {
  has(userId: string): boolean;
  /** Whether it looked within {@link ERASED_LEASE_MS}. */
  isFresh(): boolean;
}

/** Where nobody is ever erased. */
export const NOBODY_ERASED: ErasedView = { has: () => false, isFresh: () => true };

export interface EraseInput extends GdprInput {
  readonly userId: string;
  /** How long it waits before it destroys anything, s: so long it can be canceled. */
  readonly delayS?: number;
}

/** The activities of the erasure's steps; each is idempotent. */
export interface EraseActivities {
  /** Fails with the type `LegalHold` when anything of the user's is held. */
  checkErasureHolds(input: EraseInput): Promise<GdprCounts>;
  /** What there is of the user in MySQL. */
  findUserTraces(input: EraseInput): Promise<GdprCounts>;
  /** Marks the user as erased for good and destroys their keys; looks for legal holds once more. */
  destroyUserKeys(input: EraseInput): Promise<void>;
  eraseUserMessages(input: EraseInput): Promise<void>;
  eraseUserInbox(input: EraseInput): Promise<void>;
  eraseUserReceipts(input: EraseInput): Promise<void>;
  eraseUserGroups(input: EraseInput): Promise<void>;
  eraseUserInRedis(input: EraseInput): Promise<void>;
  eraseUserExports(input: EraseInput): Promise<void>;
  /** Erases what was on its way when the others ran; what it answers is left, all zeros. */
  verifyErasure(input: EraseInput): Promise<GdprCounts>;
  /** What is not removed but goes by itself. */
  dateUserCopies(input: EraseInput): Promise<GdprExpiry[]>;
}
