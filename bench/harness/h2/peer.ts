/** What either side of an HTTP/2 connection does with frames, whatever its calls are. */
import type { Socket } from 'node:net';
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  frame,
  readSettings,
  SETTINGS_ACK,
} from '../../../src/http2/frames';
import { FrameReader, LARGE_WINDOW, MessageReader, TOP_UP_BYTES, windowUpdate } from './frames';
import type { OnFrame } from './frames';

/** Opens the connection's window, which settings do not. */
export const LARGE_CONNECTION_WINDOW = windowUpdate(0, LARGE_WINDOW - DEFAULT_WINDOW);

export abstract class Peer {
  /** Bytes that may be sent on the connection. */
  protected sendWindow = DEFAULT_WINDOW;
  protected readonly messages = new MessageReader((...args) => this.onMessage(...args));
  private readonly frames = new FrameReader((...args) => this.onFrame(...args));
  private received = 0;

  /** `opening` is said before the peer has said anything. */
  protected constructor(
    protected readonly socket: Socket,
    opening: readonly Buffer[],
  ) {
    socket.setNoDelay(true);
    socket.write(Buffer.concat(opening));
  }

  protected abstract onMessage(streamId: number, bytes: Buffer, start: number, end: number): void;
  /** The peer sends no more on the stream. */
  protected abstract onEnd(streamId: number): void;
  protected abstract onReset(streamId: number): void;
  protected abstract onSettings(settings: Iterable<[id: number, value: number]>): void;
  /** The peer takes more; `sendWindow` has it already where it is the connection's. */
  protected abstract onWindow(streamId: number, increment: number): void;
  protected abstract onGoAway(error: number): void;

  protected read(chunk: Buffer): void {
    this.frames.read(chunk);
  }

  /** Tells the peer that so many more bytes may come. */
  protected topUp(bytes: number): void {
    this.socket.write(windowUpdate(0, bytes));
  }

  private onFrame(...[type, flags, streamId, bytes, start, end]: Parameters<OnFrame>): void {
    switch (type) {
      case FRAME.data:
        this.count(end - start);
        this.messages.read(streamId, flags, bytes, start, end);
        if (flags & FLAG.endStream) this.onEnd(streamId);
        break;
      case FRAME.headers:
        if (flags & FLAG.endStream) this.onEnd(streamId);
        break;
      case FRAME.rstStream:
        this.messages.forget(streamId);
        this.onReset(streamId);
        break;
      case FRAME.settings:
        if (flags & FLAG.ack) break;
        this.socket.write(SETTINGS_ACK);
        this.onSettings(readSettings(bytes.subarray(start, end)));
        break;
      case FRAME.ping:
        if (flags & FLAG.ack) break;
        this.socket.write(frame(FRAME.ping, FLAG.ack, 0, bytes.subarray(start, end)));
        break;
      case FRAME.windowUpdate: {
        const increment = bytes.readUInt32BE(start);
        if (streamId === 0) this.sendWindow += increment;
        this.onWindow(streamId, increment);
        break;
      }
      case FRAME.goaway:
        this.onGoAway(bytes.readUInt32BE(start + 4));
        break;
    }
  }

  private count(bytes: number): void {
    this.received += bytes;
    if (this.received < TOP_UP_BYTES) return;
    this.topUp(this.received);
    this.received = 0;
  }
}
