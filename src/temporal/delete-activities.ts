/** The steps of a message's deletion as Temporal calls them, each with the system that it needs. */
import { ApplicationFailure } from '@temporalio/activity';
import { INVALID_INPUT } from '../domain/delivery';
import { LEGAL_HOLD } from '../domain/gdpr';
import type { GdprSystem } from '../domain/gdpr';
import type { DeleteActivities, DeleteInput } from '../domain/gdpr-delete';
import { idProblem, MAX_MESSAGE_ID_BYTES } from '../domain/ids';
import type { Logger } from '../logger';
import { MessageDeletion } from '../routing/delete-message';
import type { DeleteMessageDeps } from '../routing/delete-message';
import { inSystem } from './gdpr-activities';

export function createDeleteActivities(
  deps: DeleteMessageDeps & { readonly log: Logger },
): DeleteActivities {
  const { removal, log, now } = deps;
  const deletion = new MessageDeletion(deps);
  const run = <I extends DeleteInput, T>(
    system: GdprSystem,
    work: (input: I) => Promise<T>,
  ): ((input: I) => Promise<T>) => {
    return (input) => inSystem(system, log, () => work(checked(input)));
  };
  return {
    listErased: run('mysql', async (input) => {
      if (await deletion.isHeld(input)) {
        throw ApplicationFailure.nonRetryable('a legal hold forbids it', LEGAL_HOLD);
      }
      const counts = await deletion.listErased(input);
      if (!counts) throw ApplicationFailure.nonRetryable('the job was canceled', 'JobCanceled');
      return counts;
    }),
    forgetInRedis: run('redis', (input) => deletion.forgetInRedis(input)),
    removeContent: run('mysql', ({ messageId }) => removal.removeContent(messageId)),
    removeExports: run('mysql', (input) => deletion.removeExports(input)),
    removeFromGroupLog: run('mysql', ({ messageId }) => removal.removeFromGroupLog(messageId)),
    clearInboxes: run('mysql', (input) => deletion.clearInboxes(input)),
    removeReceipts: run('mysql', ({ messageId }) => removal.removeReceipts(messageId)),
    forgetCounts: run('redis', (input) => deletion.forgetCounts(input)),
    dateKafkaCopies: run('kafka', (input) => deletion.dateKafkaCopies(input)),
    hideMessage: run('mysql', ({ forUser, messageId }) => removal.hide(forUser, messageId, now())),
  };
}

/** A person may start a deletion by hand, with anything as its input. */
function checked<I extends DeleteInput>(input: I): I {
  const { messageId, conversation } = input as Partial<DeleteInput>;
  const isText = typeof messageId === 'string' && typeof conversation?.type === 'string';
  if (isText && idProblem(messageId, MAX_MESSAGE_ID_BYTES) === undefined) return input;
  throw ApplicationFailure.nonRetryable('it does not name a message', INVALID_INPUT);
}
