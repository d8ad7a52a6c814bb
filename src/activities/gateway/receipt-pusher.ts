/** Pushes read receipts to the gateways that hold a sender's devices. */
import { messageOf } from '../../domain/errors';
import type { Device } from '../../domain/message';
import type { Receipt } from '../../domain/receipts';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { BreakerOpenError } from './gateways';
import type { Gateways } from './gateways';

/** Pushes of one call on their way at once. */
const CONCURRENCY = 16;

export interface ReceiptPusherOptions {
  readonly gateways: Gateways;
  /** For one push, ms. */
  readonly deadlineMs: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class ReceiptPusher {
  constructor(private readonly options: ReceiptPusherOptions) {}

  /**
   * Pushes each receipt once to each gateway: PushReadReceipt names no device, the gateway knows
   * its own. Never rejects: who is not reached sees the receipts when they ask.
   */
  async push(receipts: readonly Receipt[], devices: readonly Device[]): Promise<void> {
    const gateways = [...new Set(devices.map((device) => device.gateway))];
    const pushes = receipts.flatMap((receipt) => gateways.map((gateway) => ({ receipt, gateway })));
    let next = 0;
    const worker = async (): Promise<void> => {
      for (let push = pushes[next++]; push; push = pushes[next++]) {
        await this.pushOne(push.receipt, push.gateway);
      }
    };
    await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  }

  private async pushOne(receipt: Receipt, gateway: string): Promise<void> {
    const { gateways, deadlineMs, metrics, log } = this.options;
    try {
      await gateways.call(
        gateway,
        'PushReadReceipt',
        {
          msg_id: receipt.msgId,
          sender_id: receipt.senderId,
          reader_id: receipt.readerId,
          conversation_id: receipt.conversation.id,
          read_at: receipt.readAt,
        },
        deadlineMs,
      );
      metrics.receiptPushes.inc({ outcome: 'sent' });
    } catch (error) {
      const refused = error instanceof BreakerOpenError;
      metrics.receiptPushes.inc({ outcome: refused ? 'breaker_open' : 'failed' });
      if (!refused) log.debug({ gateway, err: messageOf(error) }, 'receipt push failed');
    }
  }
}
