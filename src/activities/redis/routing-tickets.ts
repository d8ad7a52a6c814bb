/** Requests on their way through Temporal: `route:{ticket}`, JSON, one minute. */
import type { RedisConnection } from './connection';

/** Longer than any attempt to route may take, s. */
const TICKET_TTL_S = 60;

export class RoutingTickets {
  constructor(private readonly connection: RedisConnection) {}

  async put(ticket: string, request: object): Promise<void> {
    const { redis } = this.connection.use();
    await redis.set(`route:${ticket}`, JSON.stringify(request), 'EX', TICKET_TTL_S);
  }

  /** The request, or `undefined` when its minute is over. It stays, for the activity may be retried. */
  async get<Request>(ticket: string): Promise<Request | undefined> {
    const { redis } = this.connection.use();
    const value = await redis.get(`route:${ticket}`);
    return value === null ? undefined : (JSON.parse(value) as Request);
  }
}
