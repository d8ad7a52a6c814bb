/**
 * Who holds the master keys. The one that ships reads them from a file or the environment
 * (`local-keys.ts`); a key management service fits behind the same three members.
 */

/** A data key as it may lie in a database. */
export interface WrappedKey {
  readonly masterKeyId: string;
  readonly wrapped: Buffer;
}

export interface KeyProvider {
  /** The master key that new data keys are wrapped by. */
  readonly currentKeyId: string;
  /** Wraps a data key; `context` is authenticated, and asked for again when unwrapping. */
  wrap(dataKey: Buffer, context: string): Promise<WrappedKey>;
  /** Rejects with {@link KeyLostError} for good; any other error may pass. */
  unwrap(key: WrappedKey, context: string): Promise<Buffer>;
}

/** The master key is not there any more, or the wrapped key is not what it wrapped. */
export class KeyLostError extends Error {
  override readonly name = 'KeyLostError';
}
