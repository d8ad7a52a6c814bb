/** Recording what a message was answered, for retries and GetMessageStatus. */
import type { Finish, MessageStates } from '../activities/redis/message-states';
import { messageOf } from '../domain/errors';
import type { Degradation } from './answer';

/** Tells when the answer could not be recorded; the message is safe all the same. Never rejects. */
export async function recordAnswer(
  states: Pick<MessageStates, 'finish'>,
  finish: Finish,
): Promise<Degradation | undefined> {
  try {
    await states.finish(finish);
    return undefined;
  } catch (error) {
    return { code: 'STORAGE_ERROR', detail: `the status was not recorded: ${messageOf(error)}` };
  }
}
