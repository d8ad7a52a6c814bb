/**
 * Tells a sender who has read their messages: `read_receipt_events`, the summaries, and a push to the
 * devices that are there. An event is published again only when the process dies, or MySQL stays
 * away, between Kafka's acknowledgement and the mark.
 */
import type { Presence } from '../activities/etcd/presence';
import type { ReceiptPusher } from '../activities/gateway/receipt-pusher';
import type { BatchingProducer } from '../activities/kafka/producer';
import { TOPICS } from '../activities/kafka/topics';
import type { ReceiptLog, UnpublishedReceipt } from '../activities/mysql/receipt-log';
import type { PublishResult } from '../domain/receipt-workflow';
import { encodeReceipt } from '../domain/receipts';
import type { Metrics } from '../metrics';

export interface ReceiptPublisherDeps {
  readonly receipts: Pick<ReceiptLog, 'unpublished' | 'markPublished' | 'summarize'>;
  readonly producer: Pick<BatchingProducer, 'append'>;
  readonly presence: Pick<Presence, 'lookup'>;
  readonly pusher: Pick<ReceiptPusher, 'push'>;
  readonly now: () => number;
  readonly metrics: Metrics;
}

/** Receipts of one append and one mark. */
const PAGE_SIZE = 500;
/** How long one call goes on, ms; what is left then is the next call's. */
const TIME_MS = 30_000;

export class ReceiptPublisher {
  constructor(private readonly deps: ReceiptPublisherDeps) {}

  /** Publishes what is unpublished for a sender; stops between two pages when `cancelled` aborts. */
  async publish(senderId: string, cancelled: AbortSignal): Promise<PublishResult> {
    const { receipts, now } = this.deps;
    const until = now() + TIME_MS;
    let published = 0;
    while (!cancelled.aborted && now() < until) {
      const page = await receipts.unpublished(senderId, PAGE_SIZE);
      await this.publishPage(senderId, page);
      published += page.length;
      if (page.length < PAGE_SIZE) return { published, more: false };
    }
    return { published, more: true };
  }

  private async publishPage(senderId: string, page: readonly UnpublishedReceipt[]): Promise<void> {
    if (page.length === 0) return;
    const { receipts, producer, presence, pusher, now, metrics } = this.deps;
    await Promise.all(
      page.map((receipt) =>
        producer.append(TOPICS.readReceipts, { key: senderId, value: encodeReceipt(receipt) }),
      ),
    );
    await receipts.summarize(page.map((receipt) => receipt.msgId));
    await receipts.markPublished(
      page.map((receipt) => receipt.id),
      now(),
    );
    metrics.receiptsPublished.inc(page.length);
    const { devices } = await presence.lookup(senderId);
    if (devices.length > 0) await pusher.push(firstOfEachReader(page), devices);
  }
}

/** A sender is to hear once that somebody has read a message, not once for each of their devices. */
function firstOfEachReader(page: readonly UnpublishedReceipt[]): UnpublishedReceipt[] {
  const first = new Map<string, UnpublishedReceipt>();
  for (const receipt of page) {
    const name = `${receipt.msgId}/${receipt.readerId}`;
    if (!first.has(name)) first.set(name, receipt);
  }
  return [...first.values()];
}
