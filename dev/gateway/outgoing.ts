/** What a person sends: checked, given an id, forwarded to IM Service in order, and answered on the socket. */
import { randomUUID } from 'node:crypto';
import { status, type Client } from '@grpc/grpc-js';
import { z } from 'zod';
import { call } from '../common/grpc';

/** More than IM Service's own deadlines for push and Kafka together. */
const IM_DEADLINE_MS = 10_000;
/** Messages of one connection that may wait for the ones before them. */
const MAX_WAITING = 64;

const fields = { content: z.string(), msg_id: z.string().optional() };
const outgoingMessage = z.union([
  z.strictObject({ to: z.string(), ...fields }),
  z.strictObject({ group: z.string(), ...fields }),
]);
type OutgoingMessage = z.infer<typeof outgoingMessage>;

/** One connection's way out: one message at a time, so that they are routed in the order they were sent. */
export class OutgoingMessages {
  private waiting = 0;
  private last: Promise<void> = Promise.resolve();

  constructor(
    private readonly im: Client,
    private readonly userId: string,
    private readonly answer: (frame: object) => void,
    private readonly now: () => number,
  ) {}

  /** Takes the text of one frame; every frame is answered, the ones we cannot take at once. */
  accept(text: string): void {
    const message = parse(text);
    if (message === undefined) {
      this.refuse('a message is {"to" or "group": "...", "content": "...", "msg_id"?: "..."}');
    } else if (this.waiting >= MAX_WAITING) {
      this.refuse('too many messages are waiting; slow down', message.msg_id);
    } else {
      this.waiting += 1;
      this.last = this.last.then(() => this.forward(message)).finally(() => (this.waiting -= 1));
    }
  }

  private async forward(message: OutgoingMessage): Promise<void> {
    const timestamp = this.now();
    const msg_id = message.msg_id ?? `msg_${this.userId}_${timestamp}_${randomUUID().slice(0, 8)}`;
    const request = { msg_id, sender_id: this.userId, content: message.content, timestamp };
    const target =
      'to' in message
        ? { method: 'RoutePrivateMessage', fields: { recipient_id: message.to } }
        : { method: 'RouteGroupMessage', fields: { group_id: message.group } };
    try {
      const routed = await call(
        this.im,
        target.method,
        { ...request, ...target.fields },
        IM_DEADLINE_MS,
      );
      this.answer({ type: 'answer', msg_id, ...target.fields, ...(routed as object) });
    } catch (error) {
      const code = grpcCode(error);
      const error_message = `${code}: ${error instanceof Error ? error.message : String(error)}`;
      const failed = { success: false, status: 'failed', error_message, grpc_status: code };
      this.answer({ type: 'answer', msg_id, ...target.fields, ...failed });
    }
  }

  private refuse(reason: string, msg_id?: string): void {
    const failed = { success: false, status: 'failed', error_message: reason };
    this.answer({ type: 'answer', msg_id, ...failed });
  }
}

function parse(text: string): OutgoingMessage | undefined {
  try {
    return outgoingMessage.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined; // not JSON: refused like any other frame that is no message
  }
}

/** The gRPC status by name, e.g. UNIMPLEMENTED. */
function grpcCode(error: unknown): string {
  const code = (error as { code?: unknown }).code;
  return typeof code === 'number' ? (status[code] ?? 'UNKNOWN') : 'UNKNOWN';
}
