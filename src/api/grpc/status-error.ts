/** How a call ends when it does not end well. */
import type { Metadata, status } from '@grpc/grpc-js';

export interface Status {
  readonly code: status;
  readonly details: string;
  /** Trailing. */
  readonly metadata?: Metadata | null;
}

/** Ends the call it is thrown in. */
export class StatusError extends Error implements Status {
  override readonly name = 'StatusError';

  constructor(
    readonly code: status,
    readonly details: string,
  ) {
    super(details);
  }
}
