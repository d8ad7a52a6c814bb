/** What a Route call comes to, and the routing step as an activity that Temporal can run. */
import type { ErrorCode } from './errors';
import type { GroupStatus, PrivateStatus } from './message';

export interface RouteAnswer<Status extends PrivateStatus | GroupStatus> {
  readonly success: boolean;
  readonly status: Status;
  readonly sequenceNumber: number;
  /** Of a failure, or of a success that was degraded. */
  readonly code?: ErrorCode;
  /** `CODE: text`, or empty. */
  readonly errorMessage: string;
  /** Of a group message. */
  readonly memberCount?: number;
}

/** What Temporal is told of a message: ids, never content. */
export interface RoutingTicket {
  readonly msgId: string;
  /** Under which Redis holds the request. */
  readonly ticket: string;
}

export interface RoutingActivities {
  routePrivateMessage(ticket: RoutingTicket): Promise<RouteAnswer<PrivateStatus>>;
}
