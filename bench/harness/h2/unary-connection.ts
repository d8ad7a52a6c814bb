/**
 * The client's side of one HTTP/2 connection that carries unary gRPC calls. A call is two numbers of
 * the caller's own, kept by stream in flat arrays: nothing is allocated for a call.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  frame,
  FrameReader,
  LARGE_WINDOW,
  MessageReader,
  PREFACE,
  readSettings,
  SETTING,
  settings,
  SETTINGS_ACK,
  TOP_UP_BYTES,
  windowUpdate,
} from './frames';
import type { RequestTemplate } from './request-template';

/** Streams in flight on a connection at most; a power of two, because stream ids index it. */
const SLOTS = 1 << 15;
const FREE = -1;
/** Requests are put together in pieces of this size, each written to the socket at once. */
const SLAB_BYTES = 256 * 1024;

export interface CallHandlers {
  /** Reads an answer; what it returns is given to `onDone`. Not negative. */
  readonly decode: (bytes: Buffer, start: number, end: number) => number;
  /** The call is over: with what `decode` made of the answer, or undefined if it ended without one. */
  readonly onDone: (tag: number, at: number, answer: number | undefined) => void;
  readonly onClosed: (error: Error) => void;
}

interface Waiting {
  readonly template: RequestTemplate;
  readonly numbers: readonly number[];
  readonly tag: number;
  readonly at: number;
}

export class UnaryConnection {
  private readonly frames = new FrameReader((...args) => this.onFrame(...args));
  private readonly messages = new MessageReader((streamId, bytes, start, end) => {
    this.answers[slotOf(streamId)] = this.handlers.decode(bytes, start, end);
  });
  private readonly tags = new Float64Array(SLOTS);
  private readonly times = new Float64Array(SLOTS);
  private readonly answers = new Float64Array(SLOTS);
  /** The stream that has the slot, or FREE. */
  private readonly streams = new Int32Array(SLOTS).fill(FREE);
  private readonly waiting: Waiting[] = [];
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  private unsentFrom = 0;
  private writtenTo = 0;
  private nextStreamId = 1;
  private inFlight = 0;
  private maxInFlight = SLOTS / 2;
  private sendWindow = DEFAULT_WINDOW;
  private received = 0;
  private settle: () => void = () => undefined;
  private readonly settled = new Promise<void>((resolve) => (this.settle = resolve));

  private constructor(
    private readonly socket: Socket,
    private readonly handlers: CallHandlers,
  ) {
    socket.setNoDelay(true);
    socket.on('data', (chunk: Buffer) => {
      this.frames.read(chunk);
      this.flush();
    });
    socket.on('error', (error) => handlers.onClosed(error));
    socket.on('close', () => handlers.onClosed(new Error('the connection was closed')));
    const ours = settings([
      [SETTING.enablePush, 0],
      [SETTING.initialWindowSize, LARGE_WINDOW],
    ]);
    socket.write(Buffer.concat([PREFACE, ours, windowUpdate(0, LARGE_WINDOW - DEFAULT_WINDOW)]));
  }

  /** Resolves once the peer has said how much it takes at once. */
  static async open(port: number, handlers: CallHandlers): Promise<UnaryConnection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const connection = new UnaryConnection(socket, handlers);
    await connection.settled;
    return connection;
  }

  /**
   * Begins a call; it leaves with the next {@link flush}, or once the peer's limits allow. `tag` and
   * `at` come back with the end of the call.
   */
  send(template: RequestTemplate, numbers: readonly number[], tag: number, at: number): void {
    if (this.waiting.length === 0 && this.mayCall(template)) this.call(template, numbers, tag, at);
    else this.waiting.push({ template, numbers: [...numbers], tag, at });
  }

  /** Hands what was put together to the socket, in one write. */
  flush(): void {
    if (this.writtenTo === this.unsentFrom) return;
    this.socket.write(this.slab.subarray(this.unsentFrom, this.writtenTo));
    this.unsentFrom = this.writtenTo;
  }

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  private mayCall(template: RequestTemplate): boolean {
    return (
      this.inFlight < this.maxInFlight &&
      this.sendWindow >= template.dataBytes &&
      this.streams[slotOf(this.nextStreamId)] === FREE
    );
  }

  private call(
    template: RequestTemplate,
    numbers: readonly number[],
    tag: number,
    at: number,
  ): void {
    if (SLAB_BYTES - this.writtenTo < template.maxBytes) {
      this.flush();
      this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.unsentFrom = this.writtenTo = 0;
    }
    const streamId = this.nextStreamId;
    this.nextStreamId += 2;
    const slot = slotOf(streamId);
    this.streams[slot] = streamId;
    this.tags[slot] = tag;
    this.times[slot] = at;
    this.answers[slot] = FREE;
    this.inFlight += 1;
    this.sendWindow -= template.dataBytes;
    this.writtenTo = template.write(this.slab, this.writtenTo, streamId, streamId === 1, numbers);
  }

  private onFrame(
    type: number,
    flags: number,
    streamId: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    switch (type) {
      case FRAME.data:
        this.topUp(end - start);
        this.messages.read(streamId, flags, bytes, start, end);
        if (flags & FLAG.endStream) this.done(streamId);
        break;
      case FRAME.headers:
        if (flags & FLAG.endStream) this.done(streamId);
        break;
      case FRAME.rstStream:
        this.answers[slotOf(streamId)] = FREE;
        this.done(streamId);
        break;
      case FRAME.settings:
        if (!(flags & FLAG.ack)) this.onSettings(bytes, start, end);
        break;
      case FRAME.ping:
        if (!(flags & FLAG.ack)) {
          const echo = Buffer.from(bytes.subarray(start, end));
          this.socket.write(frame(FRAME.ping, FLAG.ack, 0, echo));
        }
        break;
      case FRAME.windowUpdate:
        if (streamId === 0) this.sendWindow += bytes.readUInt32BE(start);
        this.sendWaiting();
        break;
      case FRAME.goAway:
        this.handlers.onClosed(new Error(`GOAWAY, error ${bytes.readUInt32BE(start + 4)}`));
        break;
    }
  }

  private done(streamId: number): void {
    const slot = slotOf(streamId);
    if (this.streams[slot] !== streamId) return;
    this.streams[slot] = FREE;
    this.inFlight -= 1;
    this.messages.forget(streamId);
    const answer = this.answers[slot] as number;
    const known = answer === FREE ? undefined : answer;
    this.handlers.onDone(this.tags[slot] as number, this.times[slot] as number, known);
    if (this.waiting.length > 0) this.sendWaiting();
  }

  private onSettings(bytes: Buffer, start: number, end: number): void {
    for (const [id, value] of readSettings(bytes, start, end)) {
      if (id === SETTING.maxConcurrentStreams) this.maxInFlight = Math.min(value, SLOTS / 2);
    }
    this.socket.write(SETTINGS_ACK);
    this.settle();
    this.sendWaiting();
  }

  private sendWaiting(): void {
    let sent = 0;
    for (const { template, numbers, tag, at } of this.waiting) {
      if (!this.mayCall(template)) break;
      this.call(template, numbers, tag, at);
      sent += 1;
    }
    if (sent > 0) this.waiting.splice(0, sent);
  }

  private topUp(bytes: number): void {
    this.received += bytes;
    if (this.received < TOP_UP_BYTES) return;
    this.socket.write(windowUpdate(0, this.received));
    this.received = 0;
  }
}

function slotOf(streamId: number): number {
  return (streamId >>> 1) & (SLOTS - 1);
}
