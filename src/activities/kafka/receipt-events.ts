/** What `read_receipt_events` has of a sender already: asked after an append whose outcome is not known. */
import type { Receipt } from '../../domain/receipts';
import type { PartitionReader } from './partition-reader';
import { partitionOf } from './partitioner';
import { TOPICS } from './topics';

/** How far the clocks of two workers may be apart, ms: an append is looked for from before it began. */
const CLOCK_SKEW_MS = 30_000;

export class ReceiptEvents {
  constructor(private readonly reader: PartitionReader) {}

  /** The names, by {@link nameOfReceipt}, of a sender's receipts that were appended since a time. */
  async since(senderId: string, time: number): Promise<ReadonlySet<string>> {
    const topic = TOPICS.readReceipts;
    const partition = partitionOf(senderId, await this.reader.partitionsOf(topic));
    const names = new Set<string>();
    const range = { topic, partition, from: { time: time - CLOCK_SKEW_MS } };
    await this.reader.read(range, ({ key, value }) => {
      if (key === senderId) names.add(nameOfEvent(value.toString()));
    });
    return names;
  }
}

/** One for each receipt; no id contains `/`. */
export function nameOfReceipt({ msgId, readerId, deviceId }: Receipt): string {
  return `${msgId}/${readerId}/${deviceId}`;
}

function nameOfEvent(value: string): string {
  const event = JSON.parse(value) as { msg_id: string; reader_id: string; device_id?: string };
  return `${event.msg_id}/${event.reader_id}/${event.device_id ?? ''}`;
}
