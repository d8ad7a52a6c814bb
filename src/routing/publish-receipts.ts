/**
 * Tells a sender who has read their messages: `read_receipt_events`, the summaries, and a push to the
 * devices that are there.
 *
 * One event for each receipt, without Kafka's transactions: an append is written down before it is
 * made, and what was left unfinished (the process died, Kafka was slow, MySQL went away) is looked for
 * on the topic before anything is appended again. What remains: an append that Kafka carries out more than
 * {@link SETTLE_MS} after it began, or that is asked for only after the topic's hour, is repeated.
 */
import type { Presence } from '../activities/etcd/presence';
import type { ReceiptPusher } from '../activities/gateway/receipt-pusher';
import type { BatchingProducer } from '../activities/kafka/producer';
import { nameOfReceipt } from '../activities/kafka/receipt-events';
import type { ReceiptEvents } from '../activities/kafka/receipt-events';
import { TOPICS } from '../activities/kafka/topics';
import type { Publication, ReceiptLog, UnpublishedReceipt } from '../activities/mysql/receipt-log';
import { sleep } from '../activities/sleep';
import type { PublishResult } from '../domain/receipt-workflow';
import { encodeReceipt } from '../domain/receipts';
import type { Metrics } from '../metrics';

export interface ReceiptPublisherDeps {
  readonly receipts: Pick<
    ReceiptLog,
    'unpublished' | 'begin' | 'unfinished' | 'finish' | 'firstOfReaders' | 'summarize'
  >;
  /** Must not append again by itself. */
  readonly producer: Pick<BatchingProducer, 'append'>;
  readonly events: Pick<ReceiptEvents, 'since'>;
  readonly presence: Pick<Presence, 'lookup'>;
  readonly pusher: Pick<ReceiptPusher, 'push'>;
  readonly now: () => number;
  readonly metrics: Metrics;
}

/** Receipts of one append and one mark. */
const PAGE_SIZE = 500;
/** After this an append has happened or never will, ms: twice the deadline of `producer`. */
const SETTLE_MS = 10_000;
/** Receipts among which those of an unfinished append are: its page, and what was committed late. */
const MAX_UNFINISHED = 20_000;
/** How long one call goes on, ms; what is left then is the next call's. */
const TIME_MS = 30_000;

export class ReceiptPublisher {
  constructor(private readonly deps: ReceiptPublisherDeps) {}

  /** Publishes what is unpublished for a sender; stops between two pages when `cancelled` aborts. */
  async publish(senderId: string, cancelled: AbortSignal): Promise<PublishResult> {
    const { receipts, now } = this.deps;
    const until = now() + TIME_MS;
    let published = await this.finishLast(senderId, cancelled);
    while (!cancelled.aborted && now() < until) {
      const page = await receipts.unpublished(senderId, PAGE_SIZE);
      await this.publishPage(senderId, page);
      published += page.length;
      if (page.length < PAGE_SIZE) return { published, more: false };
    }
    return { published, more: true };
  }

  /** Marks what an unfinished append has put on the topic; returns how many receipts that were. */
  private async finishLast(senderId: string, cancelled: AbortSignal): Promise<number> {
    const { receipts, events, now } = this.deps;
    const last = await receipts.unfinished(senderId);
    if (!last) return 0;
    await sleep(Math.max(0, last.beganAt + SETTLE_MS - now()), cancelled);
    if (cancelled.aborted) return 0;
    const appended = await events.since(senderId, last.beganAt);
    const candidates = await receipts.unpublished(senderId, MAX_UNFINISHED, last.upToId);
    const found = candidates.filter((receipt) => appended.has(nameOfReceipt(receipt)));
    await this.finish(senderId, last, found);
    return found.length;
  }

  private async publishPage(senderId: string, page: readonly UnpublishedReceipt[]): Promise<void> {
    const last = page.at(-1);
    if (!last) return;
    const { receipts, producer, now } = this.deps;
    const publication = { upToId: last.id, beganAt: now() };
    await receipts.begin(senderId, publication);
    await Promise.all(
      page.map((receipt) =>
        producer.append(TOPICS.readReceipts, { key: senderId, value: encodeReceipt(receipt) }),
      ),
    );
    await this.finish(senderId, publication, page);
  }

  private async finish(
    senderId: string,
    publication: Publication,
    page: readonly UnpublishedReceipt[],
  ): Promise<void> {
    const { receipts, presence, pusher, now, metrics } = this.deps;
    await receipts.summarize(page.map((receipt) => receipt.msgId));
    // Before they count as published: if this fails, the page is taken up again, and nobody was told.
    const { devices } = await presence.lookup(senderId);
    const told = devices.length > 0 ? await receipts.firstOfReaders(page) : [];
    const ids = page.map((receipt) => receipt.id);
    await receipts.finish(senderId, publication, ids, now());
    metrics.receiptsPublished.inc(page.length);
    if (told.length > 0) await pusher.push(told, devices);
  }
}
