/** What became of a message (spec, GetMessageStatus): Redis remembers a week, MySQL the rest. */
import type { MessageStore } from '../activities/mysql/message-store';
import type { MessageStates, StoredState } from '../activities/redis/message-states';
import { ImError, messageOf } from '../domain/errors';
import type { MessageStatus } from '../domain/message';
import type { Logger } from '../logger';

export interface MessageStatusDeps {
  readonly states: MessageStates;
  readonly messages: MessageStore;
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
  deps: MessageStatusDeps,
  msgId: string,
): Promise<MessageStatus | undefined> {
  let redisError: unknown;
  try {
    const state = await deps.states.find(msgId);
    if (state) return fromRedis(state);
  } catch (error) {
    redisError = error;
    deps.log.debug({ err: messageOf(error) }, 'status: Redis failed, asking MySQL');
  }
  let found: MessageStatus | undefined;
  try {
    found = await deps.messages.findStatus(msgId);
  } catch (error) {
    throw new ImError('RETRIEVAL_ERROR', `MySQL failed: ${messageOf(error)}`, { cause: error });
  }
  // MySQL learns of a message later than Redis: without Redis "not there" is not known.
  if (!found && redisError) {
    throw new ImError('RETRIEVAL_ERROR', 'Redis is unavailable', { cause: redisError });
  }
  return found;
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
