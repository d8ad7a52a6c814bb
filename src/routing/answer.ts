/** Builders of what a Route call is answered with. */
import { formatError } from '../domain/errors';
import type { ErrorCode, ImError } from '../domain/errors';
import type { GroupStatus, PrivateStatus } from '../domain/message';
import type { RouteAnswer } from '../domain/routing';

/** Something went less well than it should, and the message is safe all the same. */
export interface Degradation {
  readonly code: ErrorCode;
  readonly detail: string;
}

/** What the answer of a message that was routed before names (architecture §3). */
export const REPETITION: Degradation = {
  code: 'DUPLICATE_MESSAGE',
  detail: 'this message was routed before; this is its answer',
};

/** A success, degraded or not. */
export function succeeded<Status extends PrivateStatus | GroupStatus>(
  status: Status,
  sequenceNumber: number,
  degraded?: Degradation,
): RouteAnswer<Status> {
  return {
    success: true,
    status,
    sequenceNumber,
    code: degraded?.code,
    errorMessage: degraded ? formatError(degraded.code, degraded.detail) : '',
  };
}

/** A failure; the sequence number is 0 when none was given. */
export function failed(error: ImError, sequenceNumber = 0): RouteAnswer<'failed'> {
  return {
    success: false,
    status: 'failed',
    sequenceNumber,
    code: error.code,
    errorMessage: error.message,
  };
}
