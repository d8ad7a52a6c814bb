/** One unary gRPC call: what is sent, what comes back, and what the peer's signs mean. */
import { status } from '@grpc/grpc-js';
import { ERROR } from '../../http2/frames';
import { PREFIX_BYTES } from '../../http2/grpc-message';

/** A call that failed, with gRPC's status code. */
export class GrpcError extends Error {
  override readonly name = 'GrpcError';

  constructor(
    readonly code: status,
    details: string,
  ) {
    super(`${status[code]}: ${details}`);
  }
}

/** What all calls of one method have in common, encoded ahead. */
export interface Method {
  /** A block of headers. */
  readonly head: Buffer;
}

export interface Call {
  readonly method: Method;
  /** The message with its prefix of five bytes. */
  readonly body: Buffer;
  /** On the clock of `performance.now()`, ms. */
  readonly startedAt: number;
  readonly deadline: number;
  /** A call the peer has not begun may be sent once more. */
  resent: boolean;
  /** Where it is sent, once it is, and the number of its stream there. */
  carrier: { cancel(call: Call): void } | undefined;
  stream: number;
  /** Once, with the response message or what went wrong. */
  readonly settle: (error: GrpcError | undefined, message?: Buffer) => void;
}

/** A gateway's answers are small; a larger one is refused before it is read, bytes. */
export const MAX_RESPONSE_BYTES = 32_768;

/** The message of a response that is one whole, uncompressed message. */
export function unframed(response: Buffer): Buffer | undefined {
  if (response.length < PREFIX_BYTES || response[0] !== 0) return undefined;
  if (response.readUInt32BE(1) !== response.length - PREFIX_BYTES) return undefined;
  return response.subarray(PREFIX_BYTES);
}

/** The value of `grpc-timeout`. */
export function timeoutHeader(ms: number): string {
  // At most eight digits (gRPC over HTTP/2).
  return `${Math.min(Math.max(Math.ceil(ms), 1), 99_999_999)}m`;
}

/** The outcome that headers tell; `undefined` when they do not tell one. */
export interface Outcome {
  readonly http: number | undefined;
  readonly code: status | undefined;
  readonly details: string;
}

export function outcomeOf(headers: readonly (readonly [string, string])[]): Outcome {
  let http: number | undefined;
  let code: status | undefined;
  let details = '';
  for (const [name, value] of headers) {
    if (name === ':status') http = Number(value);
    else if (name === 'grpc-status') code = codeOf(value);
    else if (name === 'grpc-message') details = unescaped(value);
  }
  return { http, code, details };
}

function codeOf(value: string): status {
  const code = Number(value);
  return value !== '' && status[code] !== undefined ? code : status.UNKNOWN;
}

function unescaped(value: string): string {
  try {
    return decodeURIComponent(value);
  } catch {
    // A lone `%` is no reason to lose what the peer wanted to say.
    return value;
  }
}

/** gRPC's code for an answer that is plain HTTP ("HTTP to gRPC Status Code Mapping"). */
export function codeOfHttp(http: number | undefined): status {
  return HTTP_CODES.get(http ?? 0) ?? status.UNKNOWN;
}

const HTTP_CODES = new Map([
  [400, status.INTERNAL],
  [401, status.UNAUTHENTICATED],
  [403, status.PERMISSION_DENIED],
  [404, status.UNIMPLEMENTED],
  [429, status.UNAVAILABLE],
  [502, status.UNAVAILABLE],
  [503, status.UNAVAILABLE],
  [504, status.UNAVAILABLE],
]);

/** gRPC's code for a stream that the peer has reset ("gRPC over HTTP2", Errors). */
export function codeOfReset(error: number): status {
  if (error === ERROR.cancel) return status.CANCELLED;
  if (error === ERROR.enhanceYourCalm) return status.RESOURCE_EXHAUSTED;
  return status.INTERNAL;
}
