/** What is done with content on its way (spec, flow steps 4 and 5). */
import { ImError } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import type { WordFilter } from '../domain/word-filter/word-filter';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { ContentKeys } from './content-keys';

export interface ContentSteps {
  /** The content as recipients are to see it. Throws ROUTING_FAILED when it is refused. */
  screen(message: SequencedMessage): string;
  /** The message with its content as it is to be stored. Rejects with ENCRYPTION_ERROR. */
  seal<M extends SequencedMessage>(message: M): Promise<M>;
  /** For a message that is sealed later, elsewhere: rejects with ENCRYPTION_ERROR if it could not be. */
  ready(message: SequencedMessage): Promise<void>;
}

export interface ContentDeps {
  /** Asked for each message: the lists change while we run. */
  readonly lists: { readonly filter: WordFilter };
  /** `undefined`: new messages are stored in clear. */
  readonly keys: Pick<ContentKeys, 'seal' | 'ready'> | undefined;
  readonly metrics: Metrics;
  readonly log: Logger;
}

/** Screening by word lists, and encryption. Logs ids only, never what was found. */
export function createContentSteps({ lists, keys, metrics, log }: ContentDeps): ContentSteps {
  return {
    screen(message) {
      const { msgId } = message;
      const { content, blockedBy, auditedBy, replaced } = lists.filter.screen(message.content);
      if (blockedBy !== undefined) {
        metrics.screened.inc({ action: 'block' });
        log.info({ msgId, list: blockedBy }, 'message blocked');
        throw new ImError('ROUTING_FAILED', 'content rejected');
      }
      if (auditedBy.length > 0) {
        metrics.screened.inc({ action: 'audit' });
        log.info({ msgId, lists: auditedBy }, 'message noted for audit');
      }
      if (replaced) metrics.screened.inc({ action: 'replace' });
      return content;
    },
    seal: (message) => keys?.seal(message) ?? Promise.resolve(message),
    ready: ({ senderId }) => keys?.ready(senderId) ?? Promise.resolve(),
  };
}
