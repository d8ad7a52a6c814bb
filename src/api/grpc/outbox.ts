/** Sends the responses of one connection as fast as the peer's flow control lets it (RFC 9113, §5.2). */
import type { FrameWriter } from '../../http2/frame-writer';
import {
  DEFAULT_FRAME_SIZE,
  DEFAULT_WINDOW,
  ERROR,
  FLAG,
  FRAME,
  MAX_WINDOW,
  ProtocolError,
} from '../../http2/frames';
import { framed } from '../../http2/grpc-message';
import { RESPONSE_HEADERS } from './responses';

/** Tells the peer that our header blocks use no table, whatever its settings come to say (RFC 7541, §4.2). */
const NO_TABLE = Buffer.of(0x20);

/** The sending side of a stream. */
export interface Outgoing {
  readonly id: number;
  /** Bytes that the peer lets us send on this stream. */
  window: number;
  hasHeaders: boolean;
  /** Messages that wait for the peer's window, with their prefixes; the first from `sent` on. */
  readonly waiting: Buffer[];
  sent: number;
  /** What ends the stream once nothing waits. */
  trailers: Buffer | undefined;
  /** Called when what waited is on its way. */
  onSent(): void;
  /** The last frame of the stream is on its way. */
  onFinished(): void;
}

export class Outbox {
  /** What a new stream's window is. */
  streamWindow = DEFAULT_WINDOW;
  private window = DEFAULT_WINDOW;
  /** Streams with messages that wait. */
  private readonly blocked = new Set<Outgoing>();
  private hasSaidNoTable = false;

  constructor(private readonly out: FrameWriter) {}

  /** Sends a message, or what the windows let through of it now. */
  message(stream: Outgoing, message: Uint8Array): void {
    if (!stream.hasHeaders) {
      stream.hasHeaders = true;
      this.headers(stream.id, RESPONSE_HEADERS, 0);
    }
    stream.waiting.push(framed(message));
    this.resume(stream);
  }

  /** Ends the stream: with these headers, when what was given before is sent. */
  end(stream: Outgoing, trailers: Buffer): void {
    stream.trailers = trailers;
    this.resume(stream);
  }

  /** The stream is over; what waits is not sent any more. */
  drop(stream: Outgoing): void {
    if (stream.waiting.length === 0) return;
    stream.trailers = undefined;
    stream.waiting.length = 0;
    stream.sent = 0;
    this.blocked.delete(stream);
  }

  /** More may be sent in all; throws {@link ProtocolError}. */
  widen(by: number): void {
    this.window += by;
    if (this.window > MAX_WINDOW) {
      throw new ProtocolError('the window is too large', ERROR.flowControl);
    }
    for (const stream of [...this.blocked]) {
      if (this.window <= 0) return;
      // Those that had to wait longest come first again next time.
      this.resume(stream);
    }
  }

  /** More may be sent on a stream; false when it is more than there may be. */
  widenStream(stream: Outgoing, by: number): boolean {
    stream.window += by;
    if (stream.window > MAX_WINDOW) return false;
    this.resume(stream);
    return true;
  }

  /** The peer's setting for all streams, open ones too; throws {@link ProtocolError}. */
  setStreamWindow(size: number, open: readonly Outgoing[]): void {
    const more = size - this.streamWindow;
    this.streamWindow = size;
    for (const stream of open) {
      if (!this.widenStream(stream, more)) {
        throw new ProtocolError('a window is too large', ERROR.flowControl);
      }
    }
  }

  headers(stream: number, block: Buffer, flags: number): void {
    const whole = this.hasSaidNoTable ? block : Buffer.concat([NO_TABLE, block]);
    this.hasSaidNoTable = true;
    let at = 0;
    for (let type: number = FRAME.headers; at < whole.length; type = FRAME.continuation) {
      const size = Math.min(whole.length - at, DEFAULT_FRAME_SIZE);
      const last = at + size === whole.length ? FLAG.endHeaders : 0;
      const first = type === FRAME.headers ? flags : 0;
      this.out.frame([size, type, first | last, stream], whole, at);
      at += size;
    }
  }

  private resume(stream: Outgoing): void {
    if (!this.sendWaiting(stream)) {
      this.blocked.add(stream);
      return;
    }
    this.blocked.delete(stream);
    const { trailers } = stream;
    if (trailers) {
      // Once: what this sets free may lead back here.
      stream.trailers = undefined;
      this.headers(stream.id, trailers, FLAG.endStream);
      stream.onFinished();
    } else {
      stream.onSent();
    }
  }

  /** Sends what the windows let through; true when nothing is left. */
  private sendWaiting(stream: Outgoing): boolean {
    const { waiting } = stream;
    for (let message = waiting[0]; message; message = waiting[0]) {
      const left = message.length - stream.sent;
      const size = Math.min(left, DEFAULT_FRAME_SIZE, this.window, stream.window);
      if (size <= 0) return false;
      this.out.frame([size, FRAME.data, 0, stream.id], message, stream.sent);
      stream.window -= size;
      this.window -= size;
      stream.sent += size;
      if (size < left) continue;
      waiting.shift();
      stream.sent = 0;
    }
    return true;
  }
}
