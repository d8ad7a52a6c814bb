/** The streams of one connection: opened, fed and ended by the frames that name them. */
import { status } from '@grpc/grpc-js';
import { PlainMap } from '../../activities/plain-map';
import type { FrameWriter } from '../../http2/frame-writer';
import { ERROR, FLAG, FRAME, numberFrame, ProtocolError } from '../../http2/frames';
import type { Frame } from '../../http2/frames';
import { HeaderAssembly } from '../../http2/header-frames';
import type { HeaderFrames } from '../../http2/header-frames';
import type { Methods } from './methods';
import type { Outbox } from './outbox';
import { checkTrailers, headerDecoder, readHead, StreamError, timeoutMs } from './request-head';
import type { RequestHead } from './request-head';
import { ResetBudget } from './reset-budget';
import { plainHttp, trailersOnly } from './responses';
import { ServerStream } from './server-stream';
import type { StreamOwner } from './server-stream';
import { StatusError } from './status-error';

/** Requests that no handler has yet, of all streams of a client, bytes. */
const MAX_HELD_BYTES = 1 << 26;
/** How late the end of a call whose deadline has passed may be, ms. */
const DEADLINE_STEP_MS = 50;
const GRPC_CONTENT_TYPE = /^application\/grpc(?:$|[+;])/;

export interface StreamTableOptions {
  readonly methods: Methods;
  readonly maxStreams: number;
  readonly maxMessageBytes: number;
  /** Told of what a handler throws. */
  readonly report: (error: unknown) => void;
}

/** The connection, as its streams need it. */
export interface Carrier {
  readonly out: FrameWriter;
  readonly outbox: Outbox;
  /** Calls back when the client's socket takes more: at once, if it does now. */
  whenWritable(callback: () => void): void;
  /** A stream is over. */
  closed(): void;
}

export class StreamTable implements StreamOwner {
  readonly outbox: Outbox;
  readonly report: (error: unknown) => void;
  /** The largest id that was opened. */
  last = 0;
  private readonly streams = new PlainMap<number, ServerStream>();
  private readonly headers = new HeaderAssembly();
  private readonly decoder = headerDecoder();
  private readonly resets = new ResetBudget();
  private held = 0;
  private isDraining = false;
  private deadlines: NodeJS.Timeout | undefined;

  constructor(
    private readonly carrier: Carrier,
    private readonly options: StreamTableOptions,
  ) {
    this.outbox = carrier.outbox;
    this.report = options.report;
  }

  get size(): number {
    return this.streams.size;
  }

  /** Opens no more: what comes is for another connection. */
  drain(): void {
    this.isDraining = true;
  }

  all(): ServerStream[] {
    return this.streams.values();
  }

  /** The client has gone. */
  cancelAll(): void {
    clearInterval(this.deadlines);
    const lost = this.streams.values();
    this.streams.clear();
    for (const stream of lost) stream.cancel();
  }

  // ---- for streams

  allowMore(id: number, bytes: number): void {
    this.carrier.out.write(numberFrame(FRAME.windowUpdate, id, bytes));
  }

  finished(stream: ServerStream): void {
    // A client that is still sending need not.
    if (!stream.isEnded) this.reset(stream.id, ERROR.none);
    this.forget(stream);
  }

  whenWritable(callback: () => void): void {
    this.carrier.whenWritable(callback);
  }

  // ---- frames; those that break the protocol throw a ProtocolError

  /** Only CONTINUATION may come now. */
  get isWithinHeaders(): boolean {
    return this.headers.isPartial;
  }

  onHeaders(each: Frame): void {
    if (each.stream === 0) throw new ProtocolError('headers of no stream');
    const whole = this.headers.take(each);
    if (whole) this.onStream(whole.stream, () => this.onBlock(whole));
  }

  onData({ flags, stream: id, payload, length }: Frame): void {
    this.checkIdle(id);
    const stream = this.streams.get(id);
    this.onStream(id, () => {
      if (!stream || stream.isEnded) {
        if (this.isDraining && id > this.last) return;
        throw new StreamError('the stream is closed', ERROR.streamClosed);
      }
      stream.receive(payload, length);
      if (flags & FLAG.endStream) stream.receiveEnd();
      this.bound(stream);
    });
  }

  onWindowUpdate(id: number, more: number): void {
    this.checkIdle(id);
    const stream = this.streams.get(id);
    if (!stream) return;
    if (more === 0) this.breakOff(id, ERROR.protocol);
    else if (!this.outbox.widenStream(stream, more)) this.breakOff(id, ERROR.flowControl);
  }

  onReset(id: number): void {
    this.checkIdle(id);
    this.resets.spend();
    this.cancel(id);
  }

  onPriority({ stream: id, payload }: Frame): void {
    if (id === 0) throw new ProtocolError('PRIORITY of no stream');
    if (payload.length !== 5) this.breakOff(id, ERROR.frameSize);
  }

  private onBlock({ stream: id, block, isLast }: HeaderFrames): void {
    const fields = this.decoder.decode(block);
    const stream = this.streams.get(id);
    if (stream) {
      if (stream.isEnded) throw new StreamError('the stream has ended', ERROR.streamClosed);
      if (!isLast) throw new StreamError('headers amid a request', ERROR.protocol);
      checkTrailers(fields);
      stream.receiveEnd();
      return;
    }
    if (id % 2 === 0) throw new ProtocolError('a stream of ours is opened');
    if (id <= this.last) throw closed(fields);
    if (this.isDraining) return;
    this.last = id;
    if (this.streams.size >= this.options.maxStreams) {
      throw new StreamError('too many streams', ERROR.refusedStream);
    }
    this.open(id, readHead(fields), isLast);
  }

  private open(id: number, head: RequestHead, isLast: boolean): void {
    if (head.method !== 'POST') return this.refuse(id, plainHttp(405), isLast);
    if (!GRPC_CONTENT_TYPE.test(head.contentType)) return this.refuse(id, plainHttp(415), isLast);
    let stream: ServerStream;
    try {
      const { methods, maxMessageBytes } = this.options;
      const method = methods.find(head.path);
      const deadline = this.deadlineOf(head);
      stream = new ServerStream(id, head, method, deadline, maxMessageBytes, this);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      return this.refuse(id, trailersOnly(error), isLast);
    }
    this.streams.set(id, stream);
    stream.start();
    if (isLast) stream.receiveEnd();
  }

  /** Answers without a call. */
  private refuse(id: number, block: Buffer, isLast: boolean): void {
    this.outbox.headers(id, block, FLAG.endStream);
    if (!isLast) this.reset(id, ERROR.none);
  }

  /** Counts what is held for a client, and gives up the call that makes it too much. */
  private bound(stream: ServerStream): void {
    // One that has ended has been counted out.
    if (!this.streams.has(stream.id)) return;
    this.held += stream.held - stream.counted;
    stream.counted = stream.held;
    if (this.held <= MAX_HELD_BYTES || stream.held === 0) return;
    const details = 'Too much of unfinished requests is held for this client';
    stream.giveUp({ code: status.RESOURCE_EXHAUSTED, details });
  }

  private deadlineOf({ timeout }: RequestHead): number {
    if (timeout === undefined) return Infinity;
    this.deadlines ??= setInterval(() => this.checkDeadlines(), DEADLINE_STEP_MS);
    return performance.now() + timeoutMs(timeout);
  }

  private checkDeadlines(): void {
    const now = performance.now();
    let waiting = false;
    for (const stream of this.streams.values()) {
      if (stream.deadline <= now) {
        stream.giveUp({ code: status.DEADLINE_EXCEEDED, details: 'Deadline exceeded' });
      } else if (stream.deadline < Infinity) {
        waiting = true;
      }
    }
    if (waiting) return;
    clearInterval(this.deadlines);
    this.deadlines = undefined;
  }

  /** Frames must not come for a stream that was never opened. */
  private checkIdle(id: number): void {
    const isIdle = id > this.last && !this.isDraining;
    if (id === 0 || id % 2 === 0 || isIdle) throw new ProtocolError('no such stream');
  }

  /** What goes wrong with one stream ends that one. */
  private onStream(id: number, step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof StreamError)) throw error;
      this.breakOff(id, error.code);
    }
  }

  /** The client's doing: of one that does so again and again it is enough. */
  private breakOff(id: number, code: number): void {
    this.reset(id, code);
    if (this.cancel(id)) this.resets.spend();
  }

  private cancel(id: number): boolean {
    const stream = this.streams.get(id);
    if (!stream) return false;
    stream.cancel();
    this.forget(stream);
    return true;
  }

  private reset(id: number, code: number): void {
    this.carrier.out.write(numberFrame(FRAME.rstStream, id, code));
  }

  private forget(stream: ServerStream): void {
    if (!this.streams.delete(stream.id)) return;
    this.held -= stream.counted;
    this.carrier.closed();
  }
}

/** Trailers may come late; a request means that the client counts streams wrongly. */
function closed([first]: readonly { readonly isPseudo: boolean }[]): Error {
  if (first?.isPseudo) return new ProtocolError('a stream is begun anew', ERROR.streamClosed);
  return new StreamError('the stream is closed', ERROR.streamClosed);
}
