/**
 * `ROUTING_EXECUTOR=temporal`: each message is routed by a Temporal standalone activity, visible in
 * Temporal by its id. Slow (README has the figures); for those who want to see each message.
 *
 * Temporal keeps inputs for weeks, so the message itself is not one: it waits in Redis for a minute
 * under a ticket, and the activity gets the ticket and the message id.
 */
import { randomUUID } from 'node:crypto';
import { asImError, ImError, messageOf } from '../domain/errors';
import type { RoutingActivities } from '../domain/routing';
import { failed } from '../routing/answer';
import type { PrivateAnswer, PrivateRouter } from '../routing/private-message';
import type { SealedTickets } from '../routing/sealed-tickets';
import type { Temporal } from './client';

type PrivateRequest = Parameters<PrivateRouter['route']>[0];

/** For the activity, queue and all, ms: a caller's patience. */
const DEADLINE_MS = 10_000;

export class TemporalExecutor {
  constructor(
    private readonly deps: {
      readonly temporal: Temporal;
      readonly tickets: SealedTickets;
      readonly taskQueue: string;
    },
  ) {}

  /** Routes one message, as the local router does. */
  async route(request: PrivateRequest): Promise<PrivateAnswer> {
    const ticket = randomUUID();
    try {
      await this.deps.tickets.put({ msgId: request.msg_id, ticket }, request);
    } catch (error) {
      return failed(
        asImError(
          error,
          'SERVICE_UNAVAILABLE',
          `the request was not put down: ${messageOf(error)}`,
        ),
      );
    }
    try {
      return await this.deps.temporal.within(DEADLINE_MS, (client) =>
        client.activity.typed<RoutingActivities>().execute('routePrivateMessage', {
          id: `route-private/${request.msg_id}/${ticket}`,
          taskQueue: this.deps.taskQueue,
          args: [{ msgId: request.msg_id, ticket }],
          scheduleToCloseTimeout: DEADLINE_MS,
          startToCloseTimeout: DEADLINE_MS,
        }),
      );
    } catch (error) {
      // Nothing is lost: a retry finds the attempt's reservation, or its answer.
      return failed(
        new ImError('SERVICE_UNAVAILABLE', 'Temporal did not route the message', { cause: error }),
      );
    }
  }
}
