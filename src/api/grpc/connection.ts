/**
 * One client's HTTP/2 connection (RFC 9113), serving gRPC and nothing else.
 *
 * Own code, because grpc-js's server was the largest single part of what a message cost: calls read and
 * written frame by frame cost a fraction, and all answers of a turn of the event loop leave in one write
 * (bench/NOTES.md). What it leaves out no gateway needs: TLS, priorities, server push, compressed answers.
 */
import type { Socket } from 'node:net';
import { FrameWriter } from '../../http2/frame-writer';
import {
  DEFAULT_WINDOW,
  ERROR,
  FLAG,
  FRAME,
  frame,
  FrameReader,
  MAX_STREAM,
  MAX_WINDOW,
  numberFrame,
  PREFACE,
  ProtocolError,
  SETTINGS_ACK,
} from '../../http2/frames';
import type { Frame } from '../../http2/frames';
import { HpackError } from '../../http2/hpack';
import { Outbox } from './outbox';
import { initialWindow, serverSettings } from './settings';
import { StreamTable } from './stream-table';
import type { Carrier, StreamTableOptions } from './stream-table';

/** What a client may send on all streams before we say that we have read it, bytes. */
const CONNECTION_WINDOW = 1 << 20;
/** A client that leaves so much unread is not read from, bytes. */
const MAX_UNSENT_BYTES = 1 << 20;
/** For the last frames to reach a client, ms. */
const LINGER_MS = 1_000;

export interface ConnectionOptions extends StreamTableOptions {
  /** How often a client is asked whether it is there, ms. */
  readonly keepaliveMs: number;
  /** After which one that has not been heard of is given up, ms. */
  readonly keepaliveTimeoutMs: number;
  /** From connecting to the first settings, ms. */
  readonly handshakeMs: number;
}

export class ServerConnection implements Carrier {
  readonly out: FrameWriter;
  readonly outbox: Outbox;
  private readonly reader = new FrameReader();
  private readonly streams: StreamTable;
  private state: 'connecting' | 'open' | 'draining' | 'closed' = 'connecting';
  private prefaceRead = 0;
  /** Bytes that the client may still send. */
  private allowance = CONNECTION_WINDOW;
  private unacknowledged = 0;
  private isHeardOf = false;
  private readonly awaitingRoom: (() => void)[] = [];
  /** Ends a connection that says nothing. */
  private watchdog: NodeJS.Timeout | undefined;
  private readonly keepalive: NodeJS.Timeout;
  private readonly takeFrame = (each: Frame): void => {
    if (this.state !== 'closed') this.take(each);
  };

  constructor(
    private readonly socket: Socket,
    private readonly options: ConnectionOptions,
    /** Called once, when the socket is closed. */
    private readonly onClosed: () => void,
  ) {
    this.out = new FrameWriter(socket);
    this.outbox = new Outbox(this.out);
    this.streams = new StreamTable(this, options);
    this.watchdog = setTimeout(() => this.destroy(), options.handshakeMs);
    this.keepalive = setInterval(() => this.askIfThere(), options.keepaliveMs);
    socket.on('data', (chunk: Buffer) => this.receive(chunk));
    socket.on('drain', () => this.goOn());
    // Its calls are canceled on 'close', which follows.
    socket.on('error', () => this.destroy());
    socket.on('close', () => this.afterClose());
    this.out.write(serverSettings(options.maxStreams));
    const more = CONNECTION_WINDOW - DEFAULT_WINDOW;
    this.out.write(numberFrame(FRAME.windowUpdate, 0, more));
  }

  /** Takes no more calls; closes when those under way are over. */
  drain(): void {
    if (this.state === 'closed' || this.state === 'draining') return;
    this.state = 'draining';
    this.streams.drain();
    this.goAway(ERROR.none);
    this.closed();
  }

  /** Ends it at once, and what is under way with it. */
  destroy(): void {
    this.state = 'closed';
    this.socket.destroy();
  }

  // ---- for streams

  closed(): void {
    if (this.streams.last === MAX_STREAM) this.drain();
    if (this.state === 'draining' && this.streams.size === 0) this.endSoon();
  }

  whenWritable(callback: () => void): void {
    if (this.isCongested) this.awaitingRoom.push(callback);
    else callback();
  }

  // ---- receiving

  private receive(chunk: Buffer): void {
    this.isHeardOf = true;
    try {
      const frames = this.prefaceRead < PREFACE.length ? this.afterPreface(chunk) : chunk;
      this.reader.read(frames, this.takeFrame);
    } catch (error) {
      this.fail(error);
    }
    // What a client does not read of our answers must not grow.
    if (this.isCongested) this.socket.pause();
  }

  private afterPreface(chunk: Buffer): Buffer {
    const size = Math.min(PREFACE.length - this.prefaceRead, chunk.length);
    const expected = PREFACE.subarray(this.prefaceRead, this.prefaceRead + size);
    if (!chunk.subarray(0, size).equals(expected)) throw new ProtocolError('this is not HTTP/2');
    this.prefaceRead += size;
    return chunk.subarray(size);
  }

  private take(each: Frame): void {
    const { type, stream: id } = each;
    if (this.state === 'connecting' && type !== FRAME.settings) {
      throw new ProtocolError('settings must come first');
    }
    if (this.streams.isWithinHeaders && type !== FRAME.continuation) {
      throw new ProtocolError('CONTINUATION was due');
    }
    switch (type) {
      case FRAME.headers:
      case FRAME.continuation:
        return this.streams.onHeaders(each);
      case FRAME.data:
        this.count(each.length);
        return this.streams.onData(each);
      case FRAME.windowUpdate:
        checkLength(each, 4);
        return this.onWindowUpdate(id, each.payload.readUInt32BE(0) & MAX_WINDOW);
      case FRAME.rstStream:
        checkLength(each, 4);
        return this.streams.onReset(id);
      case FRAME.settings:
        return this.onSettings(each);
      case FRAME.ping:
        return this.onPing(each);
      case FRAME.priority:
        return this.streams.onPriority(each);
      case FRAME.goaway:
        return checkGoAway(each);
      case FRAME.pushPromise:
        throw new ProtocolError('a client cannot push');
      default:
        // Types that are none of ours are to be ignored (RFC 9113, §4.1).
        return;
    }
  }

  /** Tells the client at once that it may send as much again: each stream has a window of its own. */
  private count(length: number): void {
    this.allowance -= length;
    if (this.allowance < 0) throw new ProtocolError('more than the window', ERROR.flowControl);
    this.unacknowledged += length;
    if (this.unacknowledged < CONNECTION_WINDOW / 2) return;
    this.out.write(numberFrame(FRAME.windowUpdate, 0, this.unacknowledged));
    this.allowance += this.unacknowledged;
    this.unacknowledged = 0;
  }

  private onWindowUpdate(id: number, more: number): void {
    if (id !== 0) return this.streams.onWindowUpdate(id, more);
    if (more === 0) throw new ProtocolError('a window by 0');
    this.outbox.widen(more);
  }

  private onSettings({ flags, stream, payload }: Frame): void {
    if (stream !== 0) throw new ProtocolError('SETTINGS on a stream');
    if (flags & FLAG.ack) {
      if (this.state === 'connecting') throw new ProtocolError('settings must come first');
      if (payload.length > 0) throw new ProtocolError('settings in an ACK', ERROR.frameSize);
      return;
    }
    const window = initialWindow(payload);
    this.out.write(SETTINGS_ACK);
    if (window !== undefined) this.outbox.setStreamWindow(window, this.streams.all());
    if (this.state !== 'connecting') return;
    this.state = 'open';
    clearTimeout(this.watchdog);
    this.watchdog = undefined;
  }

  private onPing(each: Frame): void {
    checkLength(each, 8);
    if (each.stream !== 0) throw new ProtocolError('PING on a stream');
    if ((each.flags & FLAG.ack) === 0) {
      this.out.write(frame(FRAME.ping, FLAG.ack, 0, each.payload));
    }
  }

  // ---- the connection

  private get isCongested(): boolean {
    return this.socket.writableLength > MAX_UNSENT_BYTES;
  }

  /** The client has read what we had written. */
  private goOn(): void {
    this.isHeardOf = true;
    this.socket.resume();
    for (const callback of this.awaitingRoom.splice(0)) callback();
  }

  private askIfThere(): void {
    if (this.state === 'connecting' || this.watchdog) return;
    this.isHeardOf = false;
    this.out.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
    this.watchdog = setTimeout(() => {
      this.watchdog = undefined;
      if (!this.isHeardOf) this.destroy();
    }, this.options.keepaliveTimeoutMs);
  }

  private goAway(code: number): void {
    const payload = Buffer.alloc(8);
    payload.writeUInt32BE(this.streams.last, 0);
    payload.writeUInt32BE(code, 4);
    this.out.write(frame(FRAME.goaway, 0, 0, payload));
  }

  /** The client has broken the protocol: it is told how, and left. */
  private fail(error: unknown): void {
    if (this.state === 'closed') return;
    this.goAway(this.errorCode(error));
    this.endSoon();
  }

  private errorCode(error: unknown): number {
    if (error instanceof ProtocolError) return error.code;
    if (error instanceof HpackError) return ERROR.compression;
    this.options.report(error);
    return ERROR.internal;
  }

  /** Closes once what is written has left, or soon. */
  private endSoon(): void {
    this.state = 'closed';
    this.out.flush();
    this.socket.destroySoon();
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => this.socket.destroy(), LINGER_MS);
  }

  private afterClose(): void {
    this.state = 'closed';
    clearTimeout(this.watchdog);
    clearInterval(this.keepalive);
    this.streams.cancelAll();
    this.onClosed();
  }
}

function checkLength({ payload }: Frame, bytes: number): void {
  if (payload.length !== bytes) throw new ProtocolError('a frame of a wrong size', ERROR.frameSize);
}

/** A client that leaves opens no more streams by itself. */
function checkGoAway({ stream, payload }: Frame): void {
  if (stream !== 0) throw new ProtocolError('GOAWAY on a stream');
  if (payload.length < 8) throw new ProtocolError('GOAWAY of a wrong size', ERROR.frameSize);
}
