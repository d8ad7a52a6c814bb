/**
 * One HTTP/2 connection that carries unary gRPC calls, and nothing else.
 *
 * Own code, because a push by grpc-js was half of what an online message cost: written frame by frame it is
 * a fifth of that, and all calls of a turn of the event loop leave in one write
 * (bench/NOTES.md). What it leaves out a unary client of small messages does not need: TLS,
 * compression, server push, priorities, a header table. A connection is used until the peer says
 * GOAWAY, breaks the protocol, or is found dead; its owner (grpc-channel.ts) makes the next.
 */
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { status } from '@grpc/grpc-js';
import { codeOfHttp, codeOfReset, GrpcError, MAX_RESPONSE_BYTES, unframed } from './grpc-call';
import type { Call, Outcome } from './grpc-call';
import { PlainMap } from '../plain-map';
import { BodySender } from './body-sender';
import type { Body } from './body-sender';
import { FrameWriter } from '../../http2/frame-writer';
import { HeaderBlocks } from './header-blocks';
import {
  DEFAULT_WINDOW,
  ERROR,
  FLAG,
  FRAME,
  frame,
  FrameReader,
  MAX_STREAM,
  numberFrame,
  PREFACE,
  ProtocolError,
  readSettings,
  SETTING,
  SETTINGS_ACK,
  settingsFrame,
} from '../../http2/frames';
import type { Frame } from '../../http2/frames';
import { PREFIX_BYTES } from '../../http2/grpc-message';

/** From the attempt to connect to the peer's settings, ms. */
const CONNECT_TIMEOUT_MS = 3_000;
/** A peer that was asked whether it is there, and says nothing for so long, is not, ms. */
const PING_TIMEOUT_MS = 2_000;
/** The system looks after idle connections, ms: it offends no peer, as frequent PINGs would. */
const TCP_KEEPALIVE_MS = 10_000;
/** What the peer may send before we say that we have read it, bytes. */
const RECEIVE_WINDOW = 1 << 24;

export interface ConnectionEvents {
  /** The peer has sent its settings: calls may start. */
  ready(): void;
  /** A stream has ended, or more may be open than before. */
  room(): void;
  /** The peer has not looked at these calls: they may be sent again. */
  unbegun(calls: Call[]): void;
  /** No call may start any more; those under way go on. */
  draining(): void;
  /** It is over; the calls under way have failed. */
  closed(reason: string): void;
}

interface Stream extends Body {
  readonly call: Call;
  response: Buffer | undefined;
  http: number | undefined;
}

export class GrpcConnection {
  private readonly socket: Socket;
  private readonly reader = new FrameReader();
  private readonly streams = new PlainMap<number, Stream>();
  private nextStream = 1;
  private maxStreams = Infinity;
  private unacknowledged = 0;
  private readonly out: FrameWriter;
  private readonly bodies: BodySender;
  private readonly headers = new HeaderBlocks();
  private receivedAt = 0;
  private state: 'connecting' | 'ready' | 'draining' | 'closed' = 'connecting';
  /** While connecting, or while a PING is unanswered. */
  private watchdog: NodeJS.Timeout | undefined;

  constructor(
    { host, port }: { readonly host: string; readonly port: number },
    private readonly events: ConnectionEvents,
  ) {
    this.socket = connect({
      host,
      port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: TCP_KEEPALIVE_MS,
    });
    this.watchdog = setTimeout(() => this.destroy('no settings came'), CONNECT_TIMEOUT_MS);
    this.socket.on('data', (chunk) => this.receive(chunk));
    this.socket.on('error', (error) => this.destroy(error.message));
    this.socket.on('close', () => this.destroy('the connection closed'));
    this.out = new FrameWriter(this.socket);
    this.bodies = new BodySender(this.out);
    this.write(PREFACE);
    this.write(
      settingsFrame([
        [SETTING.headerTableSize, 0],
        [SETTING.enablePush, 0],
      ]),
    );
    this.write(numberFrame(FRAME.windowUpdate, 0, RECEIVE_WINDOW - DEFAULT_WINDOW));
  }

  /** Whether a call may start now. */
  get hasRoom(): boolean {
    return this.state === 'ready' && this.streams.size < this.maxStreams;
  }

  /** Sends a call; only while {@link hasRoom}. Calls leave in the order they are started. */
  start(call: Call): void {
    const id = this.nextStream;
    this.nextStream += 2;
    const { head } = call.method;
    const stream: Stream = {
      id,
      call,
      window: this.bodies.streamWindow,
      sent: 0,
      response: undefined,
      http: undefined,
    };
    this.streams.set(id, stream);
    call.carrier = this;
    call.stream = id;
    this.out.frame([head.length, FRAME.headers, FLAG.endHeaders, id], head, 0);
    this.bodies.begin(stream);
    // A peer that is asked for more streams than there are numbers: the next connection begins anew.
    if (this.nextStream > MAX_STREAM) this.drain();
  }

  /** Gives a call up. When the peer has been silent since it began, asks whether it is there. */
  cancel(call: Call): void {
    const stream = this.streams.get(call.stream);
    if (stream?.call !== call) return;
    this.reset(stream, ERROR.cancel);
    if (this.receivedAt < call.startedAt) this.probe();
  }

  /** Ends it at once; the calls under way fail with UNAVAILABLE. */
  destroy(reason: string): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    clearTimeout(this.watchdog);
    this.socket.destroy();
    const lost = this.streams.values();
    this.streams.clear();
    for (const { call } of lost) call.settle(new GrpcError(status.UNAVAILABLE, reason));
    this.events.closed(reason);
  }

  private probe(): void {
    if (this.watchdog || this.state === 'closed') return;
    this.write(frame(FRAME.ping, 0, 0, Buffer.alloc(8)));
    this.watchdog = setTimeout(() => this.destroy('no answer to a PING'), PING_TIMEOUT_MS);
  }

  private reset(stream: Stream, code: number): void {
    this.write(numberFrame(FRAME.rstStream, stream.id, code));
    this.forget(stream);
  }

  private forget(stream: Stream): void {
    this.streams.delete(stream.id);
    this.bodies.drop(stream);
    if (this.state !== 'draining') this.events.room();
    else if (this.streams.size === 0) this.destroy('the peer went away');
  }

  private fail(stream: Stream, error: GrpcError, reset?: number): void {
    if (reset === undefined) this.forget(stream);
    else this.reset(stream, reset);
    stream.call.settle(error);
  }

  private drain(): void {
    this.state = 'draining';
    this.events.draining();
    if (this.streams.size === 0) this.destroy('the peer went away');
  }

  private write(bytes: Buffer): void {
    this.out.write(bytes);
  }

  // ---- receiving

  private receive(chunk: Buffer): void {
    this.receivedAt = performance.now();
    if (this.watchdog && this.state !== 'connecting') {
      clearTimeout(this.watchdog);
      this.watchdog = undefined;
    }
    try {
      this.reader.read(chunk, (each) => {
        if (this.state !== 'closed') this.take(each);
      });
    } catch (error) {
      this.destroy(error instanceof Error ? error.message : String(error));
    }
  }

  private take(each: Frame): void {
    if (this.state === 'connecting' && each.type !== FRAME.settings) {
      throw new ProtocolError('the peer does not speak HTTP/2');
    }
    if (this.headers.isPartial && each.type !== FRAME.continuation) {
      throw new ProtocolError('CONTINUATION was due');
    }
    switch (each.type) {
      case FRAME.headers:
      case FRAME.continuation:
        return this.onHeaders(each);
      case FRAME.data:
        return this.onData(each);
      case FRAME.rstStream:
        return this.onReset(each);
      case FRAME.settings:
        return this.onSettings(each);
      case FRAME.ping:
        if (!(each.flags & FLAG.ack)) this.write(frame(FRAME.ping, FLAG.ack, 0, each.payload));
        return;
      case FRAME.windowUpdate:
        return this.onWindowUpdate(each);
      case FRAME.goaway:
        return this.onGoaway(each);
      case FRAME.pushPromise:
        throw new ProtocolError('server push was forbidden');
      default:
        // PRIORITY, and types that are none of ours, are to be ignored (RFC 9113, §4.1).
        return;
    }
  }

  private onHeaders(each: Frame): void {
    const block = this.headers.take(each);
    const stream = block && this.streams.get(block.stream);
    if (stream) this.onOutcome(stream, block.outcome, block.last);
  }

  private onOutcome(stream: Stream, { http, code, details }: Outcome, last: boolean): void {
    // "103 Early Hints" and the like come before the answer.
    if (http !== undefined && http >= 200) stream.http = http;
    if (!last) return;
    const final = code ?? (stream.http === 200 ? status.UNKNOWN : codeOfHttp(stream.http));
    const text = details || (code === undefined ? `HTTP ${stream.http}, no grpc-status` : '');
    this.finish(stream, final, text);
  }

  private onData({ flags, stream: id, payload, length }: Frame): void {
    this.unacknowledged += length;
    if (this.unacknowledged > RECEIVE_WINDOW / 2) {
      this.write(numberFrame(FRAME.windowUpdate, 0, this.unacknowledged));
      this.unacknowledged = 0;
    }
    const stream = this.streams.get(id);
    if (!stream) return;
    // The body of an answer that is not gRPC is of no interest.
    if (stream.http === 200 && this.keep(stream, payload)) {
      const error = new GrpcError(status.RESOURCE_EXHAUSTED, 'the response is too large');
      this.fail(stream, error, ERROR.cancel);
    } else if (flags & FLAG.endStream) {
      this.onOutcome(stream, { http: undefined, code: undefined, details: '' }, true);
    }
  }

  /** True when it is too much. */
  private keep(stream: Stream, payload: Buffer): boolean {
    const response = stream.response ? Buffer.concat([stream.response, payload]) : payload;
    stream.response = response;
    const announced = response.length >= PREFIX_BYTES ? response.readUInt32BE(1) : 0;
    return Math.max(announced, response.length - PREFIX_BYTES) > MAX_RESPONSE_BYTES;
  }

  /** The peer has said all. */
  private finish(stream: Stream, code: status, details: string): void {
    // An answer before all of the request was read: the rest is not wanted.
    if (!this.bodies.isSent(stream)) this.reset(stream, ERROR.none);
    else this.forget(stream);
    if (code !== status.OK) {
      stream.call.settle(new GrpcError(code, details));
      return;
    }
    const message = stream.response && unframed(stream.response);
    if (message) stream.call.settle(undefined, message);
    else stream.call.settle(new GrpcError(status.INTERNAL, 'OK without one plain message'));
  }

  private onReset({ stream: id, payload }: Frame): void {
    const stream = this.streams.get(id);
    if (!stream) return;
    const code = payload.readUInt32BE(0);
    if (code === ERROR.refusedStream) {
      this.forget(stream);
      this.events.unbegun([stream.call]);
    } else {
      this.fail(stream, new GrpcError(codeOfReset(code), `reset by the peer, error ${code}`));
    }
  }

  private onSettings({ flags, payload }: Frame): void {
    if (flags & FLAG.ack) return;
    // MAX_FRAME_SIZE is never smaller than the default, which is enough.
    for (const [id, value] of readSettings(payload)) {
      if (id === SETTING.maxConcurrentStreams) this.maxStreams = value;
      else if (id === SETTING.initialWindowSize) {
        this.bodies.setStreamWindow(value, this.streams.values());
      }
    }
    this.write(SETTINGS_ACK);
    if (this.state === 'connecting') {
      clearTimeout(this.watchdog);
      this.watchdog = undefined;
      this.state = 'ready';
      this.events.ready();
    } else {
      this.events.room();
    }
  }

  private onWindowUpdate({ stream: id, payload }: Frame): void {
    const more = payload.readUInt32BE(0) & 0x7fffffff;
    const stream = this.streams.get(id);
    if (id === 0 || stream) this.bodies.widen(more, stream);
  }

  private onGoaway({ payload }: Frame): void {
    const last = payload.readUInt32BE(0) & MAX_STREAM;
    const unbegun = this.streams.values().filter(({ id }) => id > last);
    for (const stream of unbegun) {
      this.streams.delete(stream.id);
      this.bodies.drop(stream);
    }
    this.drain();
    if (unbegun.length > 0) this.events.unbegun(unbegun.map(({ call }) => call));
  }
}
