/** Entries for tests: every field has a value, what matters is given. */
import { privateConversation } from '../../src/domain/ids';
import type { DeliveredEntry, OfflineEntry } from '../../src/domain/inbox';
import type { SequencedMessage } from '../../src/domain/message';
import { unique } from './ids';

export type PrivateMessage = SequencedMessage & { readonly recipientId: string };

export function message(given: Partial<PrivateMessage> = {}): PrivateMessage {
  const senderId = given.senderId ?? unique('sender');
  const recipientId = given.recipientId ?? unique('user');
  return {
    msgId: unique('msg'),
    conversation: privateConversation(senderId, recipientId),
    content: 'hello',
    encoding: 'plain',
    sequenceNumber: 1,
    timestamp: Date.now(),
    acceptedAt: Date.now(),
    metadata: {},
    ...given,
    senderId,
    recipientId,
  };
}

export function offline(given: Partial<PrivateMessage> = {}): OfflineEntry & {
  readonly message: PrivateMessage;
} {
  const made = message(given);
  return { message: made, recipients: [made.recipientId] };
}

export function delivered(
  given: Partial<PrivateMessage> = {},
  deliveredAt = Date.now(),
  devices: readonly string[] = ['phone'],
): DeliveredEntry {
  return { message: message(given), deliveredAt, devices };
}

/** `count` messages of one sender for one user, numbered from 1. */
export function series(count: number, recipientId: string, senderId = unique('sender')) {
  return Array.from({ length: count }, (_, i) =>
    offline({ recipientId, senderId, sequenceNumber: i + 1 }),
  );
}
