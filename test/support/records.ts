/** Records for tests: every field has a value, what matters is given. */
import { randomUUID } from 'node:crypto';
import { privateConversation } from '../../src/domain/ids';
import type { DeliveredRecord, OfflineRecord } from '../../src/domain/records';

/** An id nobody else uses. */
export function uniqueId(prefix: string): string {
  return `${prefix}-${randomUUID().slice(0, 8)}`;
}

export function offline(given: Partial<OfflineRecord> = {}): OfflineRecord {
  const senderId = given.senderId ?? uniqueId('sender');
  const userId = given.userId ?? uniqueId('user');
  return {
    msgId: uniqueId('msg'),
    conversation: privateConversation(senderId, userId),
    content: 'hello',
    sequenceNumber: 1,
    timestamp: Date.now(),
    createdAt: Date.now(),
    metadata: {},
    ...given,
    senderId,
    userId,
  };
}

export function delivered(given: Partial<DeliveredRecord> = {}): DeliveredRecord {
  return {
    ...offline(given),
    devices: given.devices ?? ['phone'],
    deliveredAt: given.deliveredAt ?? Date.now(),
  };
}

/** `count` messages of one sender for one user, numbered from 1. */
export function series(count: number, userId: string, senderId = uniqueId('sender')) {
  return Array.from({ length: count }, (_, i) =>
    offline({ userId, senderId, sequenceNumber: i + 1 }),
  );
}
