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
  const queues = new Map<string, Item[]>();
  for (const item of items) {
    const name = conversationName(item);
    const queue = queues.get(name);
    if (queue) queue.push(item);
    else queues.set(name, [item]);
  }
  for (const queue of queues.values()) {
    // Taken from the end below.
    queue.sort((a, b) => b.message.sequenceNumber - a.message.sequenceNumber);
  }
  return items.map((item) => queues.get(conversationName(item))?.pop() ?? item);
}

function conversationName(item: InboxItem): string {
  const { type, key } = item.message.conversation;
  return `${type}:${key}`;
}
