/**
 * Keeping a message whose recipient is away: `offline_msg` on Kafka, or MySQL itself when Kafka
 * cannot take it. Resolves only once one of them has it for good.
 */
import { Coalescer } from '../activities/coalescer';
import type { BatchingProducer } from '../activities/kafka/producer';
import type { InboxStore } from '../activities/mysql/inbox';
import type { MessageStore } from '../activities/mysql/message-store';
import type { InboxCounts } from '../activities/redis/inbox-counts';
import { ImError, messageOf } from '../domain/errors';
import type { SequencedMessage } from '../domain/message';
import { encodeOffline, offlineRecord } from '../domain/records';
import type { OfflineRecord } from '../domain/records';
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
  readonly inbox: InboxStore;
  readonly counts: InboxCounts;
  /** Messages that may wait for one user. */
  readonly quota: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class OfflineStore {
  private readonly direct: Coalescer<OfflineRecord, void>;

  constructor(private readonly deps: OfflineStoreDeps) {
    this.direct = new Coalescer({
      run: async (records) => {
        await deps.messages.storeOffline(records);
        return new Array<void>(records.length);
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
    const record = offlineRecord(message);
    try {
      await this.deps.producer.append(TOPIC, { key: record.userId, value: encodeOffline(record) });
      this.deps.metrics.offlineStored.inc();
      return undefined;
    } catch (kafkaError) {
      await this.keepDirectly(record, kafkaError);
      this.deps.metrics.offlineStored.inc();
      return {
        code: 'KAFKA_ERROR',
        detail: 'Kafka is unavailable; the message is stored directly',
      };
    }
  }

  private async keepDirectly(record: OfflineRecord, kafkaError: unknown): Promise<void> {
    try {
      await this.direct.add(record);
    } catch (error) {
      this.deps.log.warn(
        { err: messageOf(error), msgId: record.msgId },
        'MySQL did not take it either',
      );
      throw new ImError('KAFKA_ERROR', 'neither Kafka nor MySQL took the message', {
        cause: kafkaError,
      });
    }
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
