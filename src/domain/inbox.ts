/** What waits for a user, and what became of it. Times are unix ms. */
import type { OfflineRecord } from './records';

/** That one message reached these devices at that time. */
export interface Delivery {
  readonly msgId: string;
  readonly deliveredAt: number;
  readonly devices: readonly string[];
}

/** A message that waits, at its place in one user's inbox. */
export interface InboxItem {
  readonly position: number;
  readonly record: OfflineRecord;
}

/**
 * The items with each conversation's slots refilled in the order of its sequence numbers: two senders'
 * appends may reach the inbox in another order than their numbers were given, and a client that sees
 * the larger number first skips the smaller.
 */
export function inSequenceOrder(items: readonly InboxItem[]): InboxItem[] {
  const queues = new Map<string, InboxItem[]>();
  for (const item of items) {
    const name = conversationName(item);
    const queue = queues.get(name);
    if (queue) queue.push(item);
    else queues.set(name, [item]);
  }
  for (const queue of queues.values()) {
    // Taken from the end below.
    queue.sort((a, b) => b.record.sequenceNumber - a.record.sequenceNumber);
  }
  return items.map((item) => queues.get(conversationName(item))?.pop() ?? item);
}

function conversationName(item: InboxItem): string {
  const { type, key } = item.record.conversation;
  return `${type}:${key}`;
}
