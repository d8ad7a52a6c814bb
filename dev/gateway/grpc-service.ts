/** The gateway's contract towards IM Service: push a message or a receipt to devices that are connected here. */
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Logger } from 'pino';
import { unary } from '../common/grpc';
import type { Connection } from './connection';
import type { Connections } from './connections';

/** How long a device may take to confirm when the caller gave no deadline of their own. */
const CONFIRM_MS = 2_000;
/** Kept back from the caller's deadline, so that the answer still reaches them. */
const ANSWER_MARGIN_MS = 50;

interface PushMessageRequest {
  msg_id: string;
  recipient_id: string;
  device_id: string;
  sender_id: string;
  content: string;
  message_type: string;
  sequence_number: number;
  timestamp: number;
}

interface PushReadReceiptRequest {
  msg_id: string;
  sender_id: string;
  reader_id: string;
  conversation_id: string;
  read_at: number;
}

interface PushResponse {
  success: boolean;
  delivered_count: number;
  failed_devices: string[];
  error_message: string;
}

/** The handlers, by method name. */
export function gatewayHandlers(
  connections: Connections,
  log: Logger,
): UntypedServiceImplementation {
  return {
    HealthCheck: unary(() => ({ status: 'healthy' })),

    PushMessage: unary(async (request: PushMessageRequest, deadline) => {
      const { recipient_id, device_id, ...message } = request;
      const frame = { type: 'message', recipient_id, device_id, ...message };
      // Without a device it is for all of the recipient's devices that are here.
      const response =
        device_id === ''
          ? await deliver(connections.devicesOf(recipient_id), frame, deadline)
          : await deliverTo(connections.get(recipient_id, device_id), device_id, frame, deadline);
      log.info(outcome(request.msg_id, recipient_id, response), 'push');
      return response;
    }),

    PushReadReceipt: unary(async (request: PushReadReceiptRequest, deadline) => {
      const devices = connections.devicesOf(request.sender_id);
      const response = await deliver(devices, { type: 'read_receipt', ...request }, deadline);
      log.info(outcome(request.msg_id, request.sender_id, response), 'read receipt');
      return response;
    }),
  };
}

async function deliverTo(
  device: Connection | undefined,
  deviceId: string,
  frame: object,
  deadline: Date | number,
): Promise<PushResponse> {
  if (device !== undefined) return deliver([device], frame, deadline);
  return {
    success: false,
    delivered_count: 0,
    failed_devices: [deviceId],
    error_message: 'the device is not connected here',
  };
}

async function deliver(
  devices: Connection[],
  frame: object,
  deadline: Date | number,
): Promise<PushResponse> {
  const withinMs = Math.max(
    1,
    Math.min(CONFIRM_MS, Number(deadline) - Date.now() - ANSWER_MARGIN_MS),
  );
  const arrived = await Promise.all(devices.map((device) => device.deliver(frame, withinMs)));
  const failed = devices.filter((_, index) => !arrived[index]).map(({ deviceId }) => deviceId);
  const delivered = devices.length - failed.length;
  const error = devices.length === 0 ? 'the user is not connected here' : 'no device confirmed';
  return {
    success: delivered > 0,
    delivered_count: delivered,
    failed_devices: failed,
    error_message: delivered > 0 ? '' : error,
  };
}

/** What the log says of a push: ids and outcome, no content. */
function outcome(msgId: string, userId: string, response: PushResponse): object {
  return { msgId, userId, delivered: response.delivered_count, failed: response.failed_devices };
}
