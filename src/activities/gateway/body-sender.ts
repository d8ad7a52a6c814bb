/** Sends request bodies as fast as the peer's flow control lets it, in the order they were begun. */
import type { FrameWriter } from '../../http2/frame-writer';
import {
  DEFAULT_FRAME_SIZE,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  MAX_WINDOW,
  ProtocolError,
} from '../../http2/frames';

export interface Body {
  readonly id: number;
  readonly call: { readonly body: Buffer };
  /** Bytes that the peer lets us send on this stream. */
  window: number;
  /** Bytes that are sent. */
  sent: number;
}

export class BodySender {
  /** What a new stream's window is. */
  streamWindow = DEFAULT_WINDOW;
  private window = DEFAULT_WINDOW;
  /** One that cannot go on holds up those behind it, so that none overtakes. */
  private blocked: Body[] = [];

  constructor(private readonly out: FrameWriter) {}

  begin(body: Body): void {
    if (this.blocked.length > 0 || !this.send(body)) this.blocked.push(body);
  }

  /** Whether all of it is sent. */
  isSent(body: Body): boolean {
    return body.sent === body.call.body.length;
  }

  /** The stream is over. */
  drop(body: Body): void {
    if (this.isSent(body)) return;
    this.blocked = this.blocked.filter((other) => other !== body);
    this.resume();
  }

  /** More may be sent, in all or (with `body`) on one stream. */
  widen(by: number, body?: Body): void {
    if (body) body.window += by;
    else this.window += by;
    if (this.window > MAX_WINDOW) throw new ProtocolError('a window is too large');
    this.resume();
  }

  /** The peer's setting for all streams, open ones too. */
  setStreamWindow(size: number, open: Iterable<Body>): void {
    if (size > MAX_WINDOW) throw new ProtocolError('a window is too large');
    for (const body of open) body.window += size - this.streamWindow;
    this.streamWindow = size;
    this.resume();
  }

  private resume(): void {
    let first = this.blocked[0];
    while (first && this.send(first)) {
      this.blocked.shift();
      first = this.blocked[0];
    }
  }

  /** Sends what the windows let through; true when that was the rest. */
  private send(body: Body): boolean {
    const bytes = body.call.body;
    for (;;) {
      const left = bytes.length - body.sent;
      const size = Math.min(left, DEFAULT_FRAME_SIZE, this.window, body.window);
      if (size <= 0) return false;
      const flags = size === left ? FLAG.endStream : 0;
      this.out.frame([size, FRAME.data, flags, body.id], bytes, body.sent);
      body.sent += size;
      body.window -= size;
      this.window -= size;
      if (size === left) return true;
    }
  }
}
