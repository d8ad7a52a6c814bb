/** What waits for a user, and what became of it. Times are unix ms. */
import type { SequencedMessage } from './message';

/** A message that is to wait in the inbox of each of `recipients`. */
export interface OfflineEntry {
  readonly message: SequencedMessage;
  readonly recipients: readonly string[];
}

/** A private message that reached at least one device. */
export interface DeliveredEntry {
  readonly message: SequencedMessage;
  readonly deliveredAt: number;
  readonly devices: readonly string[];
}

/** That one message reached these devices at that time. */
export interface Delivery {
  readonly msgId: string;
  readonly deliveredAt: number;
  readonly devices: readonly string[];
}

/** A user's stay in a large group, in whose log messages have their positions. */
export interface Stay {
  readonly groupId: string;
  /** unix ms */
  readonly joinedAt: number;
}

/** A message that waits, at its place in one user's inbox, or in the log of a large group. */
export interface InboxItem {
  /** In a log: everything up to here is settled once this item is delivered. */
  readonly position: number;
  /** Of an item from the log of a large group. */
  readonly stay?: Stay;
  readonly message: SequencedMessage;
}

/**
 * The items with each conversation's slots refilled in the order of its sequence numbers: two senders'
 * appends may reach the inbox in another order than their numbers were given, and a client that sees
 * the larger number first skips the smaller.
 */
export function inSequenceOrder<Item extends InboxItem>(items: readonly Item[]): Item[] {
  if (isInSequenceOrder(items)) return [...items];
  const queues = new Map<string, Item[]>();
  for (const item of items) {
    const { key } = item.message.conversation;
    const queue = queues.get(key);
    if (queue) queue.push(item);
    else queues.set(key, [item]);
  }
  for (const queue of queues.values()) {
    // Taken from the end below.
    queue.sort((a, b) => b.message.sequenceNumber - a.message.sequenceNumber);
  }
  return items.map((item) => queues.get(item.message.conversation.key)?.pop() ?? item);
}

/** As nearly all are. A private conversation's key has a slash, which no group's has: the type says no more. */
function isInSequenceOrder(items: readonly InboxItem[]): boolean {
  const last = new Map<string, number>();
  return items.every(({ message: { conversation, sequenceNumber } }) => {
    const before = last.get(conversation.key) ?? -Infinity;
    last.set(conversation.key, sequenceNumber);
    return before <= sequenceNumber;
  });
}
