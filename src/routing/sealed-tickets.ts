/**
 * Requests on their way through Temporal lie in Redis for a minute, which writes them to its disk: with
 * encryption on they are sealed, under a data key of the service's own.
 */
import type { RoutingTickets, TicketName } from '../activities/redis/routing-tickets';
import { ImError } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import type { ContentKeys } from './content-keys';

/** No user's id, since it has a "/". */
const OWNER = 'im/tickets';

/** What lies in Redis. */
type Stored = { readonly plain: object } | { readonly jwe: string };

export interface SealedTicketsDeps {
  readonly tickets: Pick<RoutingTickets, 'put' | 'get'>;
  readonly keys: Pick<ContentKeys, 'seal' | 'open'>;
  /** Whether new ones are sealed; those there are open either way. */
  readonly sealing: boolean;
}

export class SealedTickets {
  constructor(private readonly deps: SealedTicketsDeps) {}

  async put(name: TicketName, request: object): Promise<void> {
    const { tickets, keys, sealing } = this.deps;
    let stored: Stored = { plain: request };
    if (sealing) {
      stored = { jwe: (await keys.seal(asMessage(name.ticket, JSON.stringify(request)))).content };
    }
    await tickets.put(name, stored);
  }

  /** The request, or `undefined` when its minute is over. */
  async get<Request>(name: TicketName): Promise<Request | undefined> {
    const stored = await this.deps.tickets.get<Stored>(name);
    if (stored === undefined) return undefined;
    if ('plain' in stored) return stored.plain as Request;
    const sealed = { ...asMessage(name.ticket, stored.jwe), encoding: 'jwe' as const };
    const [opened] = await this.deps.keys.open([sealed]);
    if (!opened || opened.unreadable) {
      throw new ImError('ENCRYPTION_ERROR', 'the request under the ticket does not open');
    }
    return JSON.parse(opened.content) as Request;
  }
}

function asMessage(ticket: string, content: string): SequencedMessage {
  return {
    msgId: ticket,
    senderId: OWNER,
    conversation: { type: 'private', key: OWNER, id: OWNER },
    content,
    timestamp: 0,
    metadata: {},
    sequenceNumber: 0,
    acceptedAt: 0,
  };
}
