/**
 * The way of a private message (spec, "Private Message Flow"; architecture §3), top to bottom.
 *
 * In the steady state an online message costs two trips to Redis, one push and its share of one
 * append to Kafka; etcd, MySQL, the user service and Temporal are not asked.
 */
import type { Presence } from '../activities/etcd/presence';
import type { Pusher } from '../activities/gateway/pusher';
import type { History } from '../activities/kafka/history';
import type { StoredMessage } from '../activities/mysql/message-store';
import type { MessageStates } from '../activities/redis/message-states';
import type { Users } from '../activities/user-service/users';
import { asImError, ImError } from '../domain/errors';
import { messageType, sequenced, withContent } from '../domain/message';
import type { Device, PrivateStatus, SequencedMessage } from '../domain/message';
import { encodeDelivered } from '../domain/records';
import type { RouteAnswer } from '../domain/routing';
import { validatePrivate } from '../domain/validation';
import type { RawMessage } from '../domain/validation';
import { failed, REPETITION, succeeded } from './answer';
import type { Degradation } from './answer';
import type { ContentSteps } from './content';
import type { Lanes, Place } from './lanes';
import type { OfflineStore } from './offline-store';
import type { Recall } from './recall';
import { recordAnswer, restoreAnswer } from './record-answer';
import type { Earlier, Reservation, Reservations } from './reservation';

export type PrivateAnswer = RouteAnswer<PrivateStatus>;

export interface PrivateRouterDeps {
  readonly users: Users;
  readonly reservations: Reservations;
  readonly content: ContentSteps;
  readonly presence: Presence;
  readonly pusher: Pusher;
  readonly offline: OfflineStore;
  readonly history: History;
  readonly states: MessageStates;
  readonly recall: Recall;
}

type PrivateMessage = SequencedMessage & { readonly recipientId: string };

export class PrivateRouter {
  constructor(private readonly deps: PrivateRouterDeps) {}

  /**
   * Routes one message; one of a stream in its lane. Never rejects for what can go wrong with a
   * message: that is in the answer.
   */
  async route(
    request: RawMessage & { recipient_id: string },
    lanes?: Lanes,
  ): Promise<PrivateAnswer> {
    const now = Date.now();
    let place: Place | undefined;
    try {
      const message = validatePrivate(request, now);
      place = lanes?.enter(message);
      const { recipient_id: recipientId } = request;
      await this.requireRecipient(recipientId);
      const reserved = await (place ?? this.deps.reservations).reserve(message);
      if (reserved.kind === 'again') return originalAnswer(reserved);
      const { sequenceNumber } = reserved;
      return await this.routeReserved(
        sequenced(message, recipientId, sequenceNumber, now),
        reserved,
      );
    } catch (error) {
      if (error instanceof ImError) return failed(error);
      throw error;
    } finally {
      place?.leave();
    }
  }

  private async requireRecipient(recipientId: string): Promise<void> {
    const known = this.deps.users.remembered(recipientId);
    if (!(known ?? (await this.deps.users.exists(recipientId)))) {
      throw new ImError('INVALID_RECIPIENT', 'the recipient does not exist');
    }
  }

  /** From the sequence number on: whatever fails now is recorded, so that a retry may go on at once. */
  private async routeReserved(
    message: PrivateMessage,
    reservation: Reservation,
  ): Promise<PrivateAnswer> {
    const { turn } = reservation;
    try {
      const screened = withContent(message, this.deps.content.screen(message));
      if (reservation.doubtful) {
        const stored = await this.deps.recall.find(screened);
        if (stored) return await this.recalled(stored, reservation);
      }
      const [sealed, presence] = await Promise.all([
        this.deps.content.seal(screened),
        this.deps.presence.lookup(message.recipientId),
      ]);
      if (turn.mine) await turn.mine;
      const pushing = this.push(screened, presence.devices);
      turn.leave();
      const devices = await pushing;
      if (devices.length > 0) return await this.delivered(sealed, reservation, devices);
      return await this.keep(sealed, reservation, presence.certain);
    } catch (error) {
      return this.failed(message, reservation, error);
    } finally {
      turn.leave();
    }
  }

  /** Redis had forgotten the message, MySQL had not. */
  private async recalled(stored: StoredMessage, { owner }: Reservation): Promise<PrivateAnswer> {
    const unrecorded = await restoreAnswer(this.deps.states, owner, stored);
    const { sequenceNumber } = stored.message;
    return originalAnswer({ kind: 'again', sequenceNumber, waited: stored.waited }, unrecorded);
  }

  private async push(message: PrivateMessage, devices: readonly Device[]): Promise<string[]> {
    if (devices.length === 0) return [];
    const { msgId, recipientId, senderId, content, sequenceNumber, timestamp } = message;
    return this.deps.pusher.push(
      {
        msgId,
        recipientId,
        senderId,
        content,
        messageType: messageType(message.metadata),
        sequenceNumber,
        timestamp,
      },
      devices,
    );
  }

  private async delivered(
    message: PrivateMessage,
    { owner }: Reservation,
    devices: readonly string[],
  ): Promise<PrivateAnswer> {
    const deliveredAt = Date.now();
    const [appended, unrecorded] = await Promise.all([
      this.deps.history.append({
        key: message.conversation.key,
        value: encodeDelivered({ message, devices, deliveredAt }),
      }),
      recordAnswer(this.deps.states, {
        msgId: message.msgId,
        owner,
        state: 'delivered',
        deliveredAt,
        devices,
      }),
    ]);
    const degraded: Degradation | undefined = appended
      ? unrecorded
      : { code: 'KAFKA_ERROR', detail: 'delivered; the history is written later' };
    return succeeded('delivered', message.sequenceNumber, degraded);
  }

  /** Nobody was reached: the message is durably kept before the caller hears of it. */
  private async keep(
    message: PrivateMessage,
    { owner, waiting }: Reservation,
    presenceCertain: boolean,
  ): Promise<PrivateAnswer> {
    const { recipientId, msgId } = message;
    await this.deps.offline.requireQuota(recipientId, waiting);
    const direct = await this.deps.offline.keep(message);
    const unrecorded = await recordAnswer(this.deps.states, {
      msgId,
      owner,
      state: 'offline',
      waitsFor: recipientId,
    });
    const degraded: Degradation | undefined =
      direct ??
      (presenceCertain
        ? unrecorded
        : { code: 'REGISTRY_ERROR', detail: 'presence is unknown; the message is kept' });
    return succeeded('offline', message.sequenceNumber, degraded);
  }

  private async failed(
    message: PrivateMessage,
    { owner }: Reservation,
    error: unknown,
  ): Promise<PrivateAnswer> {
    const known = asImError(error, 'ROUTING_FAILED', 'internal failure');
    // Not recorded: the lease ends by itself, and a retry goes on then.
    await recordAnswer(this.deps.states, { msgId: message.msgId, owner, state: 'failed' });
    if (!(error instanceof ImError)) throw error;
    return failed(known, message.sequenceNumber);
  }
}

/** The answer the message had the first time, naming the repetition (architecture §3). */
function originalAnswer(earlier: Earlier, unrecorded = REPETITION): PrivateAnswer {
  // What waited may have been delivered since; the caller was told, and is told again, "offline".
  const status = earlier.waited ? 'offline' : 'delivered';
  return succeeded(status, earlier.sequenceNumber, unrecorded);
}
