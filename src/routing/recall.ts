/**
 * Recalling messages that Redis has forgotten: when it may have lost ids (it was restarted, or
 * wiped), a message id that looks new is looked up in MySQL before the message is routed again.
 */
import { Coalescer } from '../activities/coalescer';
import type { ErasedMessages } from '../activities/mysql/erased-messages';
import type { MessageStore, StoredMessage } from '../activities/mysql/message-store';
import type { MessageStates } from '../activities/redis/message-states';
import { ImError, messageOf } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import type { Logger } from '../logger';
import type { ContentKeys } from './content-keys';
import { ERASED_FOR_MS } from './delete-message';

const MAX_BATCH = 200;
const MAX_QUEUED = 20_000;

export class Recall {
  private readonly lookups: Coalescer<string, StoredMessage | 'erased' | undefined>;

  constructor(
    private readonly deps: {
      readonly messages: MessageStore;
      readonly erased: Pick<ErasedMessages, 'among'>;
      readonly states: Pick<MessageStates, 'erase'>;
      readonly keys: Pick<ContentKeys, 'open'>;
      readonly log: Logger;
    },
  ) {
    this.lookups = new Coalescer({
      run: async (msgIds) => {
        const [erased, found] = await Promise.all([
          deps.erased.among(msgIds),
          deps.messages.findMessages(msgIds),
        ]);
        return msgIds.map((msgId) => (erased.has(msgId) ? 'erased' : found.get(msgId)));
      },
      maxBatch: MAX_BATCH,
      maxQueued: MAX_QUEUED,
    });
  }

  /**
   * The message as it was stored the first time, or `undefined` when it is new. Throws
   * DUPLICATE_MESSAGE when the id belongs to another message (or to one that nobody can read any
   * more, or that was erased), ENCRYPTION_ERROR when keys cannot be had now. While MySQL is away nothing can be
   * recalled and the message counts as new: recipients know it by its id.
   */
  async find(message: SequencedMessage): Promise<StoredMessage | undefined> {
    let stored: StoredMessage | 'erased' | undefined;
    try {
      stored = await this.lookups.add(message.msgId);
    } catch (error) {
      this.deps.log.warn({ err: messageOf(error), msgId: message.msgId }, 'id not recalled');
      return undefined;
    }
    if (stored === 'erased') {
      // Redis had forgotten that too; this attempt's reservation goes with it.
      await this.deps.states.erase(message.msgId, ERASED_FOR_MS);
      throw new ImError('DUPLICATE_MESSAGE', 'the message with this msg_id was erased');
    }
    if (!stored) return undefined;
    const [opened] = await this.deps.keys.open([stored.message]);
    if (!opened || opened.unreadable || !isSame(opened, message)) {
      throw new ImError('DUPLICATE_MESSAGE', 'this msg_id was used for another message');
    }
    return stored;
  }
}

function isSame(stored: SequencedMessage, message: SequencedMessage): boolean {
  return (
    stored.senderId === message.senderId &&
    stored.conversation.type === message.conversation.type &&
    stored.conversation.key === message.conversation.key &&
    stored.content === message.content
  );
}
