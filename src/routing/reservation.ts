/**
 * Reserving a message id and giving the message its sequence number (architecture §3).
 *
 * Redis does both in one step; MySQL is asked only when the conversation's counter has no block of
 * numbers: its first message, every 10,000th, and the first after Redis lost its memory.
 */
import { randomBytes } from 'node:crypto';
import type { Ceilings } from '../activities/mysql/ceilings';
import { sleep } from '../activities/sleep';
import type { Turn } from '../activities/turns';
import type {
  MessageStates,
  ReserveReply,
  ReserveRequest,
} from '../activities/redis/message-states';
import type { ErasedView } from '../domain/erasure';
import { asImError, ImError, messageOf } from '../domain/errors';
import type { Conversation } from '../domain/ids';
import type { Message } from '../domain/message';
import { sha256 } from '../domain/sha256';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';

/** How long an attempt owns a message, ms: longer than all deadlines of the path together. */
export const LEASE_MS = 5_000;
/** A caller waits for another attempt with the same id until that one must be over, ms. */
const BUSY_WAIT_MS = LEASE_MS + 1_000;
/** First and longest pause between two looks at an attempt in flight, ms. */
const BUSY_POLL_MS = [5, 100] as const;
/** Names this process among all that ever ask; it is in each message's hash, so it is short. */
const PROCESS_ID_BYTES = 12;
/** Numbers left below the ceiling when the next block is reserved ahead: 2 s at 1,000 a second. */
const LOW_WATER = 2_000;
/** A fresh block can be used up at once only by ten thousand others; one spare try for a wiped Redis. */
const MAX_BLOCKS = 3;

export interface Reservation {
  readonly kind: 'new';
  readonly owner: string;
  readonly sequenceNumber: number;
  /** Messages that wait for the recipient; `undefined` when Redis does not know. */
  readonly waiting: number | undefined;
  /** Redis may have forgotten that this id was used before. */
  readonly doubtful: boolean;
  /**
   * To push: messages of one conversation leave this process in sequence order, although the steps
   * before that (encryption, a presence lookup) may overtake each other. To be left in the end.
   */
  readonly turn: Turn;
}

/** The message was answered before. */
export interface Earlier {
  readonly kind: 'again';
  readonly sequenceNumber: number;
  /** It was answered "offline". */
  readonly waited: boolean;
}

type FinalReply = Extract<ReserveReply, { kind: 'new' | 'again' | 'conflict' | 'erased' }>;

export class Reservations {
  private readonly extending = new Set<string>();
  private readonly processId = randomBytes(PROCESS_ID_BYTES).toString('base64url');
  private attempts = 0;

  constructor(
    private readonly deps: {
      states: MessageStates;
      /** What they send is refused. */
      erased: Pick<ErasedView, 'has'>;
      ceilings: Ceilings;
      metrics: Metrics;
      log: Logger;
    },
  ) {}

  /**
   * Reserves the message, or finds the answer it had. Throws ROUTING_FAILED for a sender who was
   * erased, DUPLICATE_MESSAGE for the same id with another payload, SEQUENCE_ERROR when no number can
   * be had, SERVICE_UNAVAILABLE without Redis and when other attempts with this id take too long.
   */
  async reserve(message: Message): Promise<Reservation | Earlier> {
    if (this.deps.erased.has(message.senderId)) {
      throw new ImError('ROUTING_FAILED', 'the sender was erased');
    }
    const request = this.requestOf(message);
    const giveUpAt = Date.now() + BUSY_WAIT_MS;
    let pause: number = BUSY_POLL_MS[0];
    for (let blocks = 0; ;) {
      const reply = await this.ask(request);
      switch (reply.kind) {
        case 'ceiling':
          if (++blocks > MAX_BLOCKS)
            throw new ImError('SEQUENCE_ERROR', 'the counter keeps vanishing');
          await this.provideBlock(message.conversation, reply);
          break;
        case 'busy':
          if (Date.now() > giveUpAt) {
            // Not DUPLICATE_MESSAGE, which has the caller send it again with another id.
            const detail = 'another attempt with this msg_id is under way';
            throw new ImError('SERVICE_UNAVAILABLE', detail);
          }
          await sleep(pause);
          pause = Math.min(pause * 2, BUSY_POLL_MS[1]);
          break;
        case 'new':
        case 'again':
        case 'erased':
        case 'conflict': {
          const outcome = this.settled(request, reply);
          if (outcome instanceof Error) throw outcome;
          return outcome;
        }
      }
    }
  }

  /**
   * Reserves messages of one conversation, their numbers in their order, up to the first that cannot
   * be had at once: {@link reserve} that one, then go on with the rest. Returns what {@link reserve}
   * would for each, errors included.
   */
  async reserveRun(messages: readonly Message[]): Promise<(Reservation | Earlier | Error)[]> {
    // One whose sender was erased is refused by itself.
    const refused = messages.findIndex(({ senderId }) => this.deps.erased.has(senderId));
    const asked = refused < 0 ? messages : messages.slice(0, refused);
    const requests = asked.map((message) => this.requestOf(message));
    if (requests.length === 0) return [];
    let replies;
    try {
      replies = await this.deps.states.reserveRun(requests);
    } catch (error) {
      return asked.map(() => redisFailed(error));
    }
    // Each reply reaches its message from here: there are turns among them, to be left.
    const outcomes: (Reservation | Earlier | Error)[] = [];
    for (const [i, reply] of replies.entries()) {
      if (reply instanceof Error) outcomes.push(redisFailed(reply));
      else if (reply.kind === 'busy' || reply.kind === 'ceiling') break;
      else outcomes.push(this.settled(requests[i] as ReserveRequest, reply));
    }
    return outcomes;
  }

  private requestOf(message: Message): ReserveRequest {
    const { msgId, conversation, senderId, recipientId } = message;
    const owner = `${this.processId}${(++this.attempts).toString(36)}`;
    return { msgId, digest: digestOf(message), conversation, senderId, recipientId, owner };
  }

  private settled(request: ReserveRequest, reply: FinalReply): Reservation | Earlier | Error {
    if (reply.kind === 'again') return reply;
    if (reply.kind === 'conflict') {
      return new ImError('DUPLICATE_MESSAGE', 'this msg_id was used for another message');
    }
    if (reply.kind === 'erased') {
      return new ImError('DUPLICATE_MESSAGE', 'the message with this msg_id was erased');
    }
    if (reply.left >= 0) this.noteNumber(request, reply.left);
    const { kind, sequenceNumber, waiting, doubtful, turn } = reply;
    return { kind, owner: request.owner, sequenceNumber, waiting, doubtful, turn };
  }

  private async ask(request: ReserveRequest): Promise<ReserveReply> {
    try {
      return await this.deps.states.reserve(request);
    } catch (error) {
      throw redisFailed(error);
    }
  }

  private async provideBlock(
    conversation: Conversation,
    asked: { nonce: string; generation: number },
  ): Promise<void> {
    let block;
    try {
      block = await this.deps.ceilings.reserve(conversation);
    } catch (error) {
      const detail = `no block of numbers from MySQL: ${messageOf(error)}`;
      throw asImError(error, 'SEQUENCE_ERROR', detail);
    }
    try {
      await this.deps.states.installBlock(conversation, asked, block);
    } catch (error) {
      throw asImError(error, 'SERVICE_UNAVAILABLE', `Redis failed: ${messageOf(error)}`);
    }
  }

  private noteNumber({ conversation }: ReserveRequest, left: number): void {
    this.deps.metrics.sequenceNumbers.inc();
    if (left < LOW_WATER) void this.extend(conversation);
  }

  /** Reserves the next block before the counter needs it; a failure only means it is done later. */
  private async extend(conversation: Conversation): Promise<void> {
    const name = `${conversation.type}:${conversation.key}`;
    if (this.extending.has(name)) return;
    this.extending.add(name);
    try {
      const asked = await this.deps.states.counter(conversation);
      if (asked && asked.left < LOW_WATER) await this.provideBlock(conversation, asked);
    } catch (error) {
      this.deps.log.warn({ err: messageOf(error) }, 'block of numbers not reserved ahead');
    } finally {
      this.extending.delete(name);
    }
  }
}

function redisFailed(error: unknown): ImError {
  return asImError(error, 'SERVICE_UNAVAILABLE', `Redis failed: ${messageOf(error)}`);
}

/**
 * SHA-256 of who says what to whom. Time and metadata stay out: a gateway that retries may stamp
 * the message anew, and it is still the same message.
 */
function digestOf(message: Message): string {
  const { senderId, conversation, content } = message;
  return sha256(`${conversation.type}\n${conversation.key}\n${senderId}\n${content}`, 'base64');
}
