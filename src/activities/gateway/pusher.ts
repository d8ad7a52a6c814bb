/** Pushes a message to a user's devices, in parallel, each through the gateway that holds it. */
import type { Device } from '../../domain/message';
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { BreakerOpenError } from './gateways';
import type { Gateways } from './gateways';

/** What PushMessage carries, but the device. */
export interface PushedMessage {
  readonly msgId: string;
  readonly recipientId: string;
  readonly senderId: string;
  readonly content: string;
  readonly messageType: string;
  readonly sequenceNumber: number;
  /** unix ms */
  readonly timestamp: number;
}

interface PushResponse {
  readonly success: boolean;
  readonly delivered_count: number;
}

/** One device reached is "delivered": the slower devices get this much longer to be named too, ms. */
const SLOWER_DEVICES_MS = 50;

export class Pusher {
  constructor(
    private readonly options: {
      gateways: Gateways;
      deadlineMs: number;
      log: Logger;
      metrics: Metrics;
    },
  ) {}

  /**
   * The ids of the devices reached; empty when nobody was. Never rejects; resolves within the push
   * deadline, soon after the first device was reached. The requests are on their way, in the order
   * of the calls to this function, when it returns.
   */
  async push(message: PushedMessage, devices: readonly Device[]): Promise<string[]> {
    const reached: string[] = [];
    let firstReached: () => void = () => undefined;
    const oneReached = new Promise<void>((resolve) => (firstReached = resolve));
    const all = Promise.all(
      devices.map(async (device) => {
        if (!(await this.pushTo(message, device))) return;
        reached.push(device.deviceId);
        firstReached();
      }),
    );
    if (devices.length > 1)
      await Promise.race([all, oneReached.then(() => delay(SLOWER_DEVICES_MS, all))]);
    else await all;
    return [...reached];
  }

  private async pushTo(message: PushedMessage, device: Device): Promise<boolean> {
    const { gateways, deadlineMs, metrics } = this.options;
    try {
      const response = await gateways.call<PushResponse>(
        device.gateway,
        'PushMessage',
        {
          msg_id: message.msgId,
          recipient_id: message.recipientId,
          device_id: device.deviceId,
          sender_id: message.senderId,
          content: message.content,
          message_type: message.messageType,
          sequence_number: message.sequenceNumber,
          timestamp: message.timestamp,
        },
        deadlineMs,
      );
      // A success with a count of 0 reached nobody (contracts.md).
      const reached = response.success && response.delivered_count > 0;
      metrics.pushes.inc({ outcome: reached ? 'reached' : 'absent' });
      return reached;
    } catch (error) {
      const refused = error instanceof BreakerOpenError;
      metrics.pushes.inc({ outcome: refused ? 'breaker_open' : 'failed' });
      if (!refused) {
        this.options.log.debug({ gateway: device.gateway, err: messageOf(error) }, 'push failed');
      }
      return false;
    }
  }
}

/** Resolves after `ms`, or with `sooner`; leaves no timer behind. */
async function delay(ms: number, sooner: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([late, sooner]);
  clearTimeout(timer);
}
