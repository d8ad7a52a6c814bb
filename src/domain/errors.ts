/** The spec's error codes and the one error class that carries them. */

/** Every code of the spec's "Error Codes" section, with the spec's short text. */
export const ERROR_TEXT = {
  INVALID_RECIPIENT: 'Invalid recipient',
  MESSAGE_TOO_LARGE: 'Message too large',
  DUPLICATE_MESSAGE: 'Duplicate message',
  ROUTING_FAILED: 'Routing failed',
  SEQUENCE_ERROR: 'Sequence error',
  STORAGE_ERROR: 'Storage error',
  RETRIEVAL_ERROR: 'Retrieval error',
  QUOTA_EXCEEDED: 'Quota exceeded',
  SERVICE_UNAVAILABLE: 'Service unavailable',
  REGISTRY_ERROR: 'Registry error',
  KAFKA_ERROR: 'Kafka error',
  ENCRYPTION_ERROR: 'Encryption error',
} as const;

export type ErrorCode = keyof typeof ERROR_TEXT;

/** A failure with one of the spec's codes; `detail` is for the caller and never holds content. */
export class ImError extends Error {
  override readonly name = 'ImError';
  constructor(
    readonly code: ErrorCode,
    readonly detail: string,
    options?: { cause?: unknown },
  ) {
    super(formatError(code, detail), options);
  }
}

/** `CODE: text`, the form of `error_message` (architecture §3, Errors). */
export function formatError(code: ErrorCode, detail: string): string {
  return `${code}: ${detail}`;
}

/** The error as one of ours: what is not an `ImError` already becomes one with `code`. */
export function asImError(error: unknown, code: ErrorCode, detail: string): ImError {
  return error instanceof ImError ? error : new ImError(code, detail, { cause: error });
}

/** The text of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
