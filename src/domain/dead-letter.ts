/** Records that cannot be handled, on their way to `{topic}.dlq`. */

/** A record, where it came from, and what is wrong with it. */
export interface DeadLetter {
  readonly topic: string;
  readonly partition: number;
  readonly offset: string;
  /** Unix ms, of the record. */
  readonly timestamp: number;
  readonly key: string;
  readonly value: Buffer;
  /** Names fields and errors, never content. */
  readonly reason: string;
}

/** The header that says what of a dead letter is encrypted; without it nothing is. */
export const SEALED_HEADER = 'sealed';
/** `content`: its field, under the sender's key. `record`: the whole value, under the service's. */
export type Sealed = 'content' | 'record';
