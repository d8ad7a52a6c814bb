/**
 * Requests on their way through Temporal: `route/{sha256(msg_id)}`, a hash of JSON by ticket, one minute.
 * By message, so that the deletion of a message finds them; by a hash, so that no key names one.
 */
import { createHash } from 'node:crypto';
import type { RedisConnection } from './connection';

/** Longer than any attempt to route may take, s. */
const TICKET_TTL_S = 60;

export interface TicketName {
  readonly msgId: string;
  readonly ticket: string;
}

export class RoutingTickets {
  constructor(private readonly connection: RedisConnection) {}

  async put({ msgId, ticket }: TicketName, request: object): Promise<void> {
    const { redis } = this.connection.use();
    const outcomes = await redis
      .multi()
      .hset(keyOf(msgId), ticket, JSON.stringify(request))
      .expire(keyOf(msgId), TICKET_TTL_S)
      .exec();
    if (!outcomes) throw new Error('Redis did not run the transaction');
    for (const [error] of outcomes) if (error) throw error;
  }

  /** The request, or `undefined` when its minute is over. It stays, for the activity may be retried. */
  async get<Request>({ msgId, ticket }: TicketName): Promise<Request | undefined> {
    const { redis } = this.connection.use();
    const value = await redis.hget(keyOf(msgId), ticket);
    return value === null ? undefined : (JSON.parse(value) as Request);
  }

  /** Forgets the requests of a message; returns whether there were any, 1 or 0. */
  async forget(msgId: string): Promise<number> {
    return this.connection.use().redis.del(keyOf(msgId));
  }
}

function keyOf(msgId: string): string {
  return `route/${createHash('sha256').update(msgId).digest('hex')}`;
}
