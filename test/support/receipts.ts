/** Receipts as the topic gets them. */
import { randomUUID } from 'node:crypto';
import type { Consumer } from 'kafkajs';
import { TOPICS } from '../../src/activities/kafka/topics';
import { connectKafka } from './kafka';

export interface ReceiptEvent {
  readonly msg_id: string;
  readonly sender_id: string;
  readonly reader_id: string;
  readonly conversation_id: string;
  readonly read_at: number;
  readonly device_id?: string;
}

/** Listens on `read_receipt_events` and keeps the events of each sender. */
export class ReceiptListener {
  private readonly events = new Map<string, readonly ReceiptEvent[]>();

  private constructor(private readonly consumer: Consumer) {}

  /** Resolves when it reads from the end of every partition. */
  static async start(): Promise<ReceiptListener> {
    const consumer = connectKafka().consumer({
      groupId: `receipts-${randomUUID()}`,
      maxWaitTimeInMs: 100,
    });
    const listener = new ReceiptListener(consumer);
    await consumer.connect();
    await consumer.subscribe({ topic: TOPICS.readReceipts, fromBeginning: true });
    await consumer.run({
      eachMessage: ({ message }) => {
        const sender = message.key?.toString() ?? '';
        const event = JSON.parse(message.value?.toString() ?? '') as ReceiptEvent;
        listener.events.set(sender, listener.of(sender).concat(event));
        return Promise.resolve();
      },
    });
    return listener;
  }

  of(senderId: string): readonly ReceiptEvent[] {
    return this.events.get(senderId) ?? [];
  }

  async stop(): Promise<void> {
    await this.consumer.disconnect();
  }
}
