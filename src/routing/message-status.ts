/** What became of a message (spec, GetMessageStatus): Redis remembers a week, MySQL the rest. */
import type { MessageStore } from '../activities/mysql/message-store';
import type { MessageStates, StoredState } from '../activities/redis/message-states';
import { ImError, messageOf } from '../domain/errors';
import type { MessageStatus } from '../domain/message';
import type { Logger } from '../logger';

export interface MessageStatusDeps {
  readonly states: Pick<MessageStates, 'find'>;
  readonly messages: Pick<MessageStore, 'findStatus'>;
  readonly log: Logger;
}

/** The spec's word for each state Redis keeps. */
const STATUS: Record<string, MessageStatus['status']> = {
  routing: 'pending',
  offline: 'pending',
  published: 'delivered',
  delivered: 'delivered',
  failed: 'failed',
};

/** The status, or `undefined` for an id never seen. Throws RETRIEVAL_ERROR when neither store can say. */
export async function findMessageStatus(
  { states, messages, log }: MessageStatusDeps,
  msgId: string,
): Promise<MessageStatus | undefined> {
  let remembered: MessageStatus | undefined;
  let redisError: unknown;
  try {
    const state = await states.find(msgId);
    if (state) remembered = fromRedis(state);
  } catch (error) {
    redisError = error;
    log.debug({ err: messageOf(error) }, 'status: Redis failed, asking MySQL');
  }
  // "Pending" may only mean that Redis was never told how it went on: it was away, or the server died.
  if (remembered && remembered.status !== 'pending') return remembered;
  let stored: MessageStatus | undefined;
  try {
    stored = await messages.findStatus(msgId);
  } catch (error) {
    if (!remembered) {
      throw new ImError('RETRIEVAL_ERROR', `MySQL failed: ${messageOf(error)}`, { cause: error });
    }
    log.debug({ err: messageOf(error) }, 'status: MySQL failed, Redis is believed');
  }
  // MySQL learns of a message later than Redis: without Redis "not there" is not known.
  if (!stored && redisError) {
    throw new ImError('RETRIEVAL_ERROR', 'Redis is unavailable', { cause: redisError });
  }
  return stored ?? remembered;
}

function fromRedis(state: StoredState): MessageStatus {
  return {
    status: state.readAt > 0 ? 'read' : (STATUS[state.state] ?? 'pending'),
    // Who has read it over REST has received it, as MySQL says too.
    deliveredAt: state.deliveredAt || state.readAt,
    readAt: state.readAt,
    deliveredDevices: state.devices,
  };
}
