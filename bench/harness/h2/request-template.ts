/** A request's frames, made once; writing one is a copy, and a patch of what differs from message to message. */
import { bytesField } from '../protobuf';
import { FLAG, FRAME, frame, HEAD_BYTES } from '../../../src/http2/frames';
import { framed } from '../../../src/http2/grpc-message';
import { requestHeaders } from './hpack';

/** Where a decimal number of fixed width stands in the message. */
export interface NumberSlot {
  readonly at: number;
  readonly digits: number;
}

export class RequestTemplate {
  /** Bytes of DATA, which flow control counts. */
  readonly dataBytes: number;
  /** No request is larger. */
  readonly maxBytes: number;
  private readonly first: Buffer;
  private readonly next: Buffer;
  private readonly messageFromEnd: number;
  /** The request as it stands in RouteRequests of a stream. */
  private readonly entry: Buffer;

  /**
   * `slots` are positions in `message`; {@link write} fills them in this order. `kind`: the message's
   * field in RouteRequest.
   */
  constructor(
    authority: string,
    path: string,
    message: Buffer,
    private readonly slots: readonly NumberSlot[],
    kind: number,
  ) {
    const data = frame(FRAME.data, FLAG.endStream, 0, framed(message));
    const headers = requestHeaders(authority, path);
    const withHeaders = (block: Buffer): Buffer =>
      Buffer.concat([frame(FRAME.headers, FLAG.endHeaders, 0, block), data]);
    this.first = withHeaders(headers.first);
    this.next = withHeaders(headers.next);
    this.dataBytes = data.length - HEAD_BYTES;
    this.maxBytes = this.first.length;
    this.messageFromEnd = message.length;
    this.entry = bytesField(1, bytesField(kind, message));
  }

  get entryBytes(): number {
    return this.entry.length;
  }

  /** Writes HEADERS and DATA of one request at `at`; returns where they end. */
  write(
    out: Buffer,
    at: number,
    streamId: number,
    isFirst: boolean,
    numbers: readonly number[],
  ): number {
    const bytes = isFirst ? this.first : this.next;
    bytes.copy(out, at);
    const end = at + bytes.length;
    out.writeUInt32BE(streamId, at + 5);
    out.writeUInt32BE(streamId, end - this.dataBytes - 4);
    this.fill(out, end - this.messageFromEnd, numbers);
    return end;
  }

  /** Writes one request of RouteRequests at `at`; returns where it ends. */
  writeEntry(out: Buffer, at: number, numbers: readonly number[]): number {
    this.entry.copy(out, at);
    const end = at + this.entry.length;
    this.fill(out, end - this.messageFromEnd, numbers);
    return end;
  }

  private fill(out: Buffer, messageAt: number, numbers: readonly number[]): void {
    for (let i = 0; i < this.slots.length; i++) {
      const slot = this.slots[i] as NumberSlot;
      let rest = numbers[i] as number;
      for (let digit = messageAt + slot.at + slot.digits - 1; rest > 0; digit--) {
        const quotient = Math.floor(rest / 10);
        out[digit] = 48 + rest - quotient * 10;
        rest = quotient;
      }
    }
  }
}
