/** What the re-wrapping workflow, its activity and those who start it agree on. Counts and key ids only. */

export const REWRAP_WORKFLOW = 'rewrapKeys';
/** One at a time: the id is always the same. */
export const REWRAP_ID = 'rewrap-keys';
/** Failure type: keys are left that their old master key does not unwrap. */
export const KEYS_LEFT = 'KeysLeft';

export interface RewrapPage {
  readonly rewrapped: number;
  /** Keys whose master key is not there, or which are not what it wrapped. */
  readonly left: number;
  /** Where the next page begins; `undefined` after the last one. */
  readonly next?: string;
}

export interface RewrapResult {
  readonly rewrapped: number;
  readonly left: number;
}

export interface KeyActivities {
  /** Wraps a page of data keys by the current master key. */
  rewrapPage(input: { after: string }): Promise<RewrapPage>;
}
