/** Users who were erased, as all processes know of them, and the workflow that erases one. */

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
