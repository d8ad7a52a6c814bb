/**
 * Encryption of stored content under the sender's data key (architecture §3). What is sealed here
 * opens only as the same message; reading never fails because of one message that does not open.
 */
import { withDeadline } from '../activities/deadline';
import { TamperedError } from '../activities/encryption/envelope';
import type { Envelopes } from '../activities/encryption/envelope';
import { KeyLostError } from '../activities/encryption/key-provider';
import type { DataKey, UserKeys } from '../activities/encryption/user-keys';
import { sleep } from '../activities/sleep';
import type { OpenedMessage, Unreadable } from '../domain/encryption';
import { ImError, messageOf } from '../domain/errors';
import { withContent } from '../domain/message';
import type { SequencedMessage } from '../domain/message';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';

/** First pause before keys are asked for again, ms; it doubles. */
const RETRY_FIRST_MS = 50;

export interface ContentKeysDeps {
  readonly keys: Pick<UserKeys, 'remembered' | 'current' | 'find'>;
  readonly envelopes: Envelopes;
  /** How long keys are asked for, with all retries, ms. */
  readonly budgetMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class ContentKeys {
  constructor(private readonly deps: ContentKeysDeps) {}

  /** The message as it is to be stored. Rejects with ENCRYPTION_ERROR: it is never stored in clear. */
  async seal<M extends SequencedMessage>(message: M): Promise<M> {
    const { senderId, content } = message;
    const key = await this.keyOf(senderId);
    const sealed = this.deps.envelopes.seal(content, message, key.keyId, key.key);
    return withContent(message, sealed, 'jwe') as SequencedMessage as M;
  }

  /** Resolves when messages of the sender can be sealed; rejects with ENCRYPTION_ERROR. */
  async ready(senderId: string): Promise<void> {
    await this.keyOf(senderId);
  }

  private keyOf(senderId: string): DataKey | Promise<DataKey> {
    const { keys } = this.deps;
    return keys.remembered(senderId) ?? this.withRetries(() => keys.current(senderId));
  }

  /**
   * The messages with their content in clear, in the same order, those that do not open marked as
   * unreadable. Rejects with ENCRYPTION_ERROR when keys cannot be had now.
   */
  async open(messages: readonly SequencedMessage[]): Promise<OpenedMessage[]> {
    const keyIds = messages.map((message) => this.keyIdOf(message));
    const wanted = keyIds.filter((id) => id !== undefined);
    const keys =
      wanted.length > 0
        ? await this.withRetries(() => this.deps.keys.find(wanted))
        : new Map<string, DataKey>();
    return messages.map((message, i) => this.openOne(message, keys.get(keyIds[i] ?? '')));
  }

  private openOne(message: SequencedMessage, key: DataKey | undefined): OpenedMessage {
    if (message.erased) return opened(message, '', 'erased');
    const { envelopes } = this.deps;
    if (message.encoding !== 'jwe') {
      // Somebody has made a ciphertext pass for a text.
      if (envelopes.isOf(message, message.content)) return this.unreadable(message, 'tampered');
      return opened(message, message.content);
    }
    if (!key) {
      return this.unreadable(message, this.keyIdOf(message) === undefined ? 'tampered' : 'keyless');
    }
    if (key.userId !== message.senderId) return this.unreadable(message, 'tampered');
    try {
      return opened(message, envelopes.open(message.content, message, key.key));
    } catch (error) {
      if (!(error instanceof TamperedError)) throw error;
      return this.unreadable(message, 'tampered');
    }
  }

  /** The key a message names; `undefined` when it is in clear, or names none. */
  private keyIdOf(message: SequencedMessage): string | undefined {
    if (message.encoding !== 'jwe') return undefined;
    try {
      return this.deps.envelopes.keyIdOf(message.content);
    } catch (error) {
      if (!(error instanceof TamperedError)) throw error;
      return undefined;
    }
  }

  private unreadable(message: SequencedMessage, why: Unreadable): OpenedMessage {
    this.deps.metrics.unreadable.inc({ reason: why });
    this.deps.log.warn({ msgId: message.msgId, why }, 'stored message cannot be read');
    return opened(message, '', why);
  }

  /** Tries until the budget is used up; a key that is lost for good is not asked for again. */
  private async withRetries<T>(work: () => Promise<T>): Promise<T> {
    const { budgetMs, metrics, log } = this.deps;
    const until = Date.now() + budgetMs;
    for (let pause = RETRY_FIRST_MS; ; pause *= 2) {
      try {
        return await withDeadline(work(), Math.max(until - Date.now(), 1), 'getting keys');
      } catch (error) {
        metrics.keyFailures.inc();
        const lost = error instanceof KeyLostError;
        if (lost || Date.now() + pause >= until) {
          log.warn({ err: messageOf(error) }, 'no keys');
          throw new ImError('ENCRYPTION_ERROR', 'the keys cannot be had', { cause: error });
        }
      }
      await sleep(pause);
    }
  }
}

/** The message as it is read; written out, as there are many of a page (see `sequenced`). */
function opened(
  message: SequencedMessage,
  content: string,
  unreadable?: Unreadable,
): OpenedMessage {
  return {
    msgId: message.msgId,
    senderId: message.senderId,
    conversation: message.conversation,
    recipientId: message.recipientId,
    content,
    encoding: 'plain',
    timestamp: message.timestamp,
    metadata: message.metadata,
    sequenceNumber: message.sequenceNumber,
    acceptedAt: message.acceptedAt,
    erased: message.erased,
    unreadable,
  };
}
