/**
 * The way of a group message (spec, "Group Message Flow"), top to bottom.
 *
 * In the steady state it costs two trips to Redis and its share of one append to Kafka, whatever the
 * size of the group: gateways push it to the members they hold, the worker keeps it for the others.
 */
import type { BatchingProducer } from '../activities/kafka/producer';
import { TOPICS } from '../activities/kafka/topics';
import type { MessageStates } from '../activities/redis/message-states';
import type { Groups } from '../activities/user-service/groups';
import { asImError, ImError } from '../domain/errors';
import { encodeGroup } from '../domain/group-records';
import { sequenced, withContent } from '../domain/message';
import type { GroupStatus, SequencedMessage } from '../domain/message';
import { validateGroup } from '../domain/validation';
import type { RawMessage } from '../domain/validation';
import { failed, REPETITION, succeeded } from './answer';
import type { RouteAnswer } from '../domain/routing';
import type { ContentSteps } from './content';
import type { Lanes, Place } from './lanes';
import type { Recall } from './recall';
import { recordAnswer, restoreAnswer } from './record-answer';
import type { Reservation, Reservations } from './reservation';

export type GroupAnswer = RouteAnswer<GroupStatus>;

export interface GroupRouterDeps {
  readonly groups: Pick<Groups, 'requireMember'>;
  readonly reservations: Reservations;
  readonly content: Pick<ContentSteps, 'screen' | 'ready'>;
  readonly producer: Pick<BatchingProducer, 'append'>;
  readonly states: MessageStates;
  readonly recall: Recall;
}

export class GroupRouter {
  constructor(private readonly deps: GroupRouterDeps) {}

  /**
   * Routes one message; one of a stream in its lane. Never rejects for what can go wrong with a
   * message: that is in the answer.
   */
  async route(request: RawMessage & { group_id: string }, lanes?: Lanes): Promise<GroupAnswer> {
    const now = Date.now();
    let place: Place | undefined;
    try {
      const message = validateGroup(request, now);
      place = lanes?.enter(message);
      const memberCount = await this.deps.groups.requireMember(request.group_id, message.senderId);
      const reserved = await (place ?? this.deps.reservations).reserve(message);
      const { sequenceNumber } = reserved;
      const answer =
        reserved.kind === 'again'
          ? originalAnswer(sequenceNumber)
          : await this.publish(sequenced(message, undefined, sequenceNumber, now), reserved);
      return answer.success ? withMemberCount(answer, memberCount) : answer;
    } catch (error) {
      if (error instanceof ImError) return failed(error);
      throw error;
    } finally {
      place?.leave();
    }
  }

  /** From the sequence number on: whatever fails now is recorded, so that a retry may go on at once. */
  private async publish(
    message: SequencedMessage,
    reservation: Reservation,
  ): Promise<RouteAnswer<GroupStatus>> {
    const { msgId, conversation, sequenceNumber } = message;
    const { owner, turn } = reservation;
    try {
      // Plain, also where content is encrypted at rest: gateways cannot decrypt (contracts.md).
      const screened = withContent(message, this.deps.content.screen(message));
      // The worker seals it; what it could not seal is not for it to find out.
      await this.deps.content.ready(message);
      if (reservation.doubtful) {
        const stored = await this.deps.recall.find(screened);
        // Redis had forgotten the message, MySQL had not.
        if (stored) {
          const unrecorded = await restoreAnswer(this.deps.states, owner, stored);
          return originalAnswer(stored.message.sequenceNumber, unrecorded);
        }
      }
      if (turn.mine) await turn.mine;
      const value = encodeGroup(screened);
      const appending = this.deps.producer.append(TOPICS.group, { key: conversation.id, value });
      turn.leave();
      await appending;
      const deliveredAt = Date.now();
      const unrecorded = await recordAnswer(this.deps.states, {
        msgId,
        owner,
        state: 'published',
        deliveredAt,
      });
      return succeeded('published', sequenceNumber, unrecorded);
    } catch (error) {
      const known = asImError(error, 'ROUTING_FAILED', 'internal failure');
      // Not recorded: the lease ends by itself, and a retry goes on then.
      await recordAnswer(this.deps.states, { msgId, owner, state: 'failed' });
      if (!(error instanceof ImError)) throw error;
      return failed(known, sequenceNumber);
    } finally {
      turn.leave();
    }
  }
}

/** The answer the message had the first time, naming the repetition (architecture §3). */
function originalAnswer(sequenceNumber: number, unrecorded = REPETITION): RouteAnswer<GroupStatus> {
  return succeeded('published', sequenceNumber, unrecorded);
}

function withMemberCount(answer: GroupAnswer, memberCount: number): GroupAnswer {
  const { success, status, sequenceNumber, code, errorMessage } = answer;
  return { success, status, sequenceNumber, code, errorMessage, memberCount };
}
