/**
 * Keeping a message whose recipient is away: `offline_msg` on Kafka, or MySQL itself when Kafka
 * cannot take it. Resolves only once one of them has it for good.
 */
import { Coalescer } from '../activities/coalescer';
import type { BatchingProducer } from '../activities/kafka/producer';
import type { Inbox } from '../activities/mysql/inbox';
import type { MessageStore } from '../activities/mysql/message-store';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import { ImError, messageOf } from '../domain/errors';
import type { OfflineEntry } from '../domain/inbox';
import type { SequencedMessage } from '../domain/message';
import { encodeOffline } from '../domain/records';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import type { Degradation } from './answer';

const TOPIC = 'offline_msg';
/** Messages of one transaction when MySQL stands in for Kafka. */
const MAX_DIRECT_BATCH = 200;
const MAX_DIRECT_QUEUED = 5_000;

export interface OfflineStoreDeps {
  readonly producer: BatchingProducer;
  readonly messages: MessageStore;
  readonly inbox: Inbox;
  readonly counts: InboxCounts;
  /** Messages that may wait for one user. */
  readonly quota: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class OfflineStore {
  private readonly direct: Coalescer<OfflineEntry, boolean>;

  constructor(private readonly deps: OfflineStoreDeps) {
    this.direct = new Coalescer({
      run: async (entries) => {
        const { conflicting } = await deps.messages.storeOffline(entries);
        return entries.map((entry) => !conflicting.has(entry));
      },
      maxBatch: MAX_DIRECT_BATCH,
      maxQueued: MAX_DIRECT_QUEUED,
    });
  }

  /**
   * Throws QUOTA_EXCEEDED when as many messages wait for the user as may. `waiting` is what Redis
   * remembers; when it remembers nothing MySQL is asked, and if it is away the message is let pass:
   * a quota protects storage, it is no reason to refuse messages in an outage.
   */
  async requireQuota(userId: string, waiting: number | undefined): Promise<void> {
    const count = waiting ?? (await this.countFromMysql(userId));
    if (count >= this.deps.quota) {
      throw new ImError('QUOTA_EXCEEDED', `${count} messages wait for the recipient already`);
    }
  }

  /** Keeps the message; tells when Kafka was away. Throws KAFKA_ERROR when nothing could take it. */
  async keep(
    message: SequencedMessage & { recipientId: string },
  ): Promise<Degradation | undefined> {
    const { recipientId } = message;
    try {
      await this.deps.producer.append(TOPIC, {
        key: recipientId,
        value: encodeOffline(message, recipientId),
      });
      this.deps.metrics.offlineStored.inc();
      return undefined;
    } catch (error) {
      await this.keepDirectly({ message, recipients: [recipientId] }, error);
      this.deps.metrics.offlineStored.inc();
      return {
        code: 'KAFKA_ERROR',
        detail: 'Kafka is unavailable; the message is stored directly',
      };
    }
  }

  private async keepDirectly(entry: OfflineEntry, kafkaError: unknown): Promise<void> {
    let stored: boolean;
    try {
      stored = await this.direct.add(entry);
    } catch (error) {
      this.deps.log.warn(
        { err: messageOf(error), msgId: entry.message.msgId },
        'not stored either',
      );
      throw new ImError('KAFKA_ERROR', 'neither Kafka nor MySQL took the message', {
        cause: kafkaError,
      });
    }
    // Redis had forgotten the id; MySQL has not.
    if (!stored) throw new ImError('DUPLICATE_MESSAGE', 'this msg_id was used for another message');
  }

  private async countFromMysql(userId: string): Promise<number> {
    try {
      const count = await this.deps.inbox.pendingCount(userId);
      await this.deps.counts.set(userId, count);
      return count;
    } catch (error) {
      this.deps.log.warn({ err: messageOf(error) }, 'quota not checked');
      return 0;
    }
  }
}
