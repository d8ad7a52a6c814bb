/**
 * What is done with content on its way (spec, flow steps 4 and 5).
 *
 * Neither the word filter nor encryption is in this build: {@link plainContent} lets content pass.
 */
import type { SequencedMessage } from '../domain/message';

export interface ContentSteps {
  /** The content as recipients are to see it. Throws ROUTING_FAILED when it is refused. */
  screen(content: string): string;
  /** The message with its content as it is to be stored. Rejects with ENCRYPTION_ERROR. */
  seal<M extends SequencedMessage>(message: M): Promise<M>;
}

/** Content passes unfiltered and unencrypted. */
export const plainContent: ContentSteps = {
  screen: (content) => content,
  seal: (message) => Promise.resolve(message),
};
