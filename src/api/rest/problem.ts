/** Errors as problem details (RFC 9457). `code` is the spec's where the spec has one that fits. */
import { ImError } from '../../domain/errors';
import type { ErrorCode } from '../../domain/errors';

/** Status and title of each code; the spec's codes first. */
export const PROBLEMS = {
  INVALID_RECIPIENT: [404, 'Invalid recipient'],
  MESSAGE_TOO_LARGE: [413, 'Message too large'],
  DUPLICATE_MESSAGE: [409, 'Duplicate message'],
  ROUTING_FAILED: [503, 'Routing failed'],
  SEQUENCE_ERROR: [503, 'Sequence error'],
  STORAGE_ERROR: [503, 'Storage error'],
  RETRIEVAL_ERROR: [503, 'Retrieval error'],
  QUOTA_EXCEEDED: [429, 'Quota exceeded'],
  SERVICE_UNAVAILABLE: [503, 'Service unavailable'],
  REGISTRY_ERROR: [503, 'Registry error'],
  KAFKA_ERROR: [503, 'Kafka error'],
  ENCRYPTION_ERROR: [503, 'Encryption error'],
  INVALID_REQUEST: [400, 'Invalid request'],
  INVALID_CURSOR: [400, 'Invalid cursor'],
  UNAUTHENTICATED: [401, 'Unauthenticated'],
  FORBIDDEN: [403, 'Forbidden'],
  NOT_FOUND: [404, 'Not found'],
  METHOD_NOT_ALLOWED: [405, 'Method not allowed'],
  LEGAL_HOLD: [409, 'Legal hold'],
  INVALID_CONFIRMATION: [403, 'Invalid confirmation'],
  AMBIGUOUS_CONVERSATION: [409, 'Ambiguous conversation'],
  REQUEST_TIMEOUT: [408, 'Request timeout'],
  GONE: [410, 'Gone'],
  BODY_TOO_LARGE: [413, 'Body too large'],
  UNSUPPORTED_MEDIA_TYPE: [415, 'Unsupported media type'],
  RATE_LIMITED: [429, 'Too many requests'],
  HEADERS_TOO_LARGE: [431, 'Headers too large'],
  INTERNAL_ERROR: [500, 'Internal error'],
} as const satisfies Record<ErrorCode, unknown> & Record<string, readonly [number, string]>;

export type ProblemCode = keyof typeof PROBLEMS;

/** Seconds after which a client may try again what failed for a dependency's sake. */
const RETRY_AFTER_S = 1;

/** A request that is refused; `detail` is for the caller and never holds content or a token. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;

  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    readonly headers: Readonly<Record<string, string>> = {},
    options?: { cause?: unknown },
  ) {
    super(`${code}: ${detail}`, options);
    this.status = PROBLEMS[code][0];
  }

  /** The body of the response, `application/problem+json`. */
  toBody(requestId: string): object {
    return {
      type: `urn:im-service:problem:${this.code.toLowerCase().replaceAll('_', '-')}`,
      title: PROBLEMS[this.code][1],
      status: this.status,
      detail: this.detail,
      code: this.code,
      request_id: requestId,
    };
  }
}

/** Whatever was thrown, as what the caller is told. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ImError) return fromImError(error);
  const status = (error as { status?: unknown } | null)?.status;
  // Errors of Koa and its middlewares carry the status they stand for.
  if (status === 413) return new Problem('BODY_TOO_LARGE', 'the body is larger than allowed');
  if (status === 415) {
    return new Problem('UNSUPPORTED_MEDIA_TYPE', 'the encoding of the body is not supported');
  }
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new Problem('INVALID_REQUEST', 'the request cannot be read');
  }
  return new Problem('INTERNAL_ERROR', 'unexpected failure', {}, { cause: error });
}

function fromImError(error: ImError): Problem {
  const [status] = PROBLEMS[error.code];
  const headers: Record<string, string> =
    status === 503 ? { 'retry-after': String(RETRY_AFTER_S) } : {};
  return new Problem(error.code, error.detail, headers, { cause: error });
}
