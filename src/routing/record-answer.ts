/** Recording what a message was answered, for retries and GetMessageStatus. */
import type { StoredMessage } from '../activities/mysql/message-store';
import type { Finish, MessageStates } from '../activities/redis/message-states';
import { messageOf } from '../domain/errors';
import type { Degradation } from './answer';

/** Tells when the answer could not be recorded; the message is safe all the same. Never rejects. */
export function recordAnswer(
  states: Pick<MessageStates, 'finish'>,
  finish: Finish,
): Promise<Degradation | undefined> {
  return states.finish(finish).then(recorded, notRecorded);
}

/** The same for an answer that Redis had forgotten, and MySQL had not. Never rejects. */
export function restoreAnswer(
  states: Pick<MessageStates, 'restore'>,
  owner: string,
  stored: StoredMessage,
): Promise<Degradation | undefined> {
  return states.restore(owner, stored).then(recorded, notRecorded);
}

function recorded(): undefined {
  return undefined;
}

function notRecorded(error: unknown): Degradation {
  return { code: 'STORAGE_ERROR', detail: `the status was not recorded: ${messageOf(error)}` };
}
