/** Receipts: many at once, and as the topic gets them. */
import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import type { Consumer } from 'kafkajs';
import { TOPICS } from '../../src/activities/kafka/topics';
import { connectKafka } from './kafka';
import { tokenFor } from './rest-client';

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
  private readonly events = new Map<string, ReceiptEvent[]>();

  private constructor(private readonly consumer: Consumer) {}

  /** Resolves when it reads from the end of every partition. */
  static async start(kafka = connectKafka()): Promise<ReceiptListener> {
    const consumer = kafka.consumer({
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
        const before = listener.events.get(sender);
        if (before) before.push(event);
        else listener.events.set(sender, [event]);
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

/**
 * Marks messages as read, each by a request of its own, over connections that stay open and as fast as
 * answers come. As clients do, it tries again what is answered 503.
 */
export async function readOneByOne(
  httpPort: number,
  readerId: string,
  msgIds: readonly string[],
  connections: number,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  const headers = {
    authorization: `Bearer ${await tokenFor(readerId)}`,
    'content-type': 'application/json',
  };
  const mark = (msgId: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { agent, headers, host: '127.0.0.1', port: httpPort, method: 'POST' };
      const sent = request({ ...options, path: '/api/v1/messages/read' }, (response) => {
        response.resume().on('end', () => resolve(response.statusCode ?? 0));
      });
      sent.on('error', reject);
      sent.end(JSON.stringify({ msg_id: msgId }));
    });
  let next = 0;
  const client = async (): Promise<void> => {
    for (let msgId = msgIds[next++]; msgId !== undefined; msgId = msgIds[next++]) {
      let status = await mark(msgId);
      while (status === 503) status = await mark(msgId);
      if (status !== 200) throw new Error(`${msgId} was not marked as read: ${status}`);
    }
  };
  try {
    await Promise.all(Array.from({ length: connections }, client));
  } finally {
    agent.destroy();
  }
}

/** How often a process has called Temporal to wake a sender's workflow, with success or without. */
export async function wakesAsked(httpPort: number): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${httpPort}/metrics`)).text();
  const counts = text.matchAll(/read_receipt_wakes_total\{outcome="(?:woken|failed)"\} (\d+)/g);
  return [...counts].reduce((sum, [, count]) => sum + Number(count), 0);
}
