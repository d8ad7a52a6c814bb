/** The activity behind `ROUTING_EXECUTOR=temporal`: fetches the request of a ticket and routes it. */
import { ApplicationFailure } from '@temporalio/activity';
import type { RoutingTicket } from '../domain/routing';
import type { PrivateAnswer, PrivateRouter } from '../routing/private-message';
import type { SealedTickets } from '../routing/sealed-tickets';

/** Idempotent: the router knows the message by its id. */
export async function routeTicket(
  router: PrivateRouter,
  tickets: SealedTickets,
  { msgId, ticket }: RoutingTicket,
): Promise<PrivateAnswer> {
  const request = await tickets.get<Parameters<PrivateRouter['route']>[0]>({ msgId, ticket });
  if (!request) {
    throw ApplicationFailure.nonRetryable(`the request of ${msgId} has expired`, 'TicketExpired');
  }
  return router.route(request);
}
