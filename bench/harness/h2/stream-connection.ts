/**
 * The client's side of one HTTP/2 connection that carries one stream of `im.v1.IMStreamService`. What
 * was sent since the last flush goes as one message of the stream; answers name requests by number.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { readFields } from '../protobuf';
import {
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  frame,
  FrameReader,
  FRAME_HEADER_BYTES,
  GRPC_PREFIX_BYTES,
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
import { requestHeaders } from './hpack';
import type { RequestTemplate } from './request-template';
import type { CallHandlers } from './unary-connection';

const PATH = '/im.v1.IMStreamService/Route';
const STREAM = 1;
/** Requests unanswered at most; a power of two, because request numbers index it. */
const SLOTS = 1 << 17;
/** What every HTTP/2 peer takes in one frame. */
const MAX_FRAME = 16_384;
/** Room of one batch. */
const SLAB_BYTES = 256 * 1024;
/** Field numbers of RouteResponse. */
const ANSWER = { number: 1, privateMessage: 3, groupMessage: 4 } as const;

export class StreamConnection {
  private readonly frames = new FrameReader((...args) => this.onFrame(...args));
  private readonly messages = new MessageReader((_, bytes, start, end) => {
    readFields(bytes, start, end, {
      onVarint: () => undefined,
      onBytes: (_response, from, to) => this.onAnswer(bytes, from, to),
    });
  });
  private readonly tags = new Float64Array(SLOTS);
  private readonly times = new Float64Array(SLOTS);
  private requests = 0;
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** The batch that is being put together: from its gRPC prefix on, in `slab`. */
  private batchFrom = 0;
  private writtenTo = GRPC_PREFIX_BYTES;
  /** Bytes of the stream that wait for the peer's windows. */
  private unsent: Buffer[] = [];
  private connectionWindow = DEFAULT_WINDOW;
  private streamWindow = DEFAULT_WINDOW;
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
    // A stream has no deadline of its own.
    const { first } = requestHeaders('im-service', PATH, []);
    const opening = [PREFACE, ours, windowUpdate(0, LARGE_WINDOW - DEFAULT_WINDOW)];
    socket.write(Buffer.concat([...opening, frame(FRAME.headers, FLAG.endHeaders, STREAM, first)]));
  }

  /** Resolves once the peer has said how much it takes at once. */
  static async open(port: number, handlers: CallHandlers): Promise<StreamConnection> {
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const connection = new StreamConnection(socket, handlers);
    await connection.settled;
    return connection;
  }

  /** Adds a request to the batch. `tag` and `at` come back with its answer. */
  send(template: RequestTemplate, numbers: readonly number[], tag: number, at: number): void {
    if (SLAB_BYTES - this.writtenTo < template.entryBytes) this.flush();
    const slot = ++this.requests & (SLOTS - 1);
    this.tags[slot] = tag;
    this.times[slot] = at;
    this.writtenTo = template.writeEntry(this.slab, this.writtenTo, numbers);
  }

  /** Sends the batch, as far as the peer's windows allow. */
  flush(): void {
    const start = this.batchFrom;
    if (this.writtenTo > start + GRPC_PREFIX_BYTES) {
      this.slab[start] = 0;
      this.slab.writeUInt32BE(this.writtenTo - start - GRPC_PREFIX_BYTES, start + 1);
      this.unsent.push(this.slab.subarray(start, this.writtenTo));
      this.batchFrom = this.writtenTo;
      this.writtenTo += GRPC_PREFIX_BYTES;
      if (this.writtenTo > SLAB_BYTES / 2) {
        this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.batchFrom = 0;
        this.writtenTo = GRPC_PREFIX_BYTES;
      }
    }
    if (this.unsent.length > 0) this.sendData();
  }

  close(): void {
    this.socket.removeAllListeners('close');
    this.socket.destroy();
  }

  private sendData(): void {
    const out: Buffer[] = [];
    for (let next = this.unsent[0]; next; next = this.unsent[0]) {
      const size = Math.min(next.length, MAX_FRAME, this.connectionWindow, this.streamWindow);
      if (size <= 0) break;
      const head = Buffer.allocUnsafe(FRAME_HEADER_BYTES);
      head.writeUIntBE(size, 0, 3);
      head[3] = FRAME.data;
      head[4] = 0;
      head.writeUInt32BE(STREAM, 5);
      out.push(head, next.subarray(0, size));
      this.connectionWindow -= size;
      this.streamWindow -= size;
      if (size === next.length) this.unsent.shift();
      else this.unsent[0] = next.subarray(size);
    }
    if (out.length > 0) this.socket.write(Buffer.concat(out));
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
        break;
      case FRAME.headers:
        if (flags & FLAG.endStream) this.handlers.onClosed(new Error('the stream ended'));
        break;
      case FRAME.rstStream:
      case FRAME.goAway:
        this.handlers.onClosed(new Error('the stream was reset'));
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
        if (streamId === 0) this.connectionWindow += bytes.readUInt32BE(start);
        else this.streamWindow += bytes.readUInt32BE(start);
        break;
    }
  }

  private onAnswer(bytes: Buffer, start: number, end: number): void {
    let number = 0;
    let answer: number | undefined;
    readFields(bytes, start, end, {
      onVarint: (field, value) => {
        if (field === ANSWER.number) number = value;
      },
      onBytes: (field, from, to) => {
        if (field === ANSWER.privateMessage || field === ANSWER.groupMessage) {
          answer = this.handlers.decode(bytes, from, to);
        }
      },
    });
    const slot = number & (SLOTS - 1);
    this.handlers.onDone(this.tags[slot] as number, this.times[slot] as number, answer);
  }

  private onSettings(bytes: Buffer, start: number, end: number): void {
    for (const [id, value] of readSettings(bytes, start, end)) {
      if (id === SETTING.initialWindowSize) this.streamWindow += value - DEFAULT_WINDOW;
    }
    this.socket.write(SETTINGS_ACK);
    this.settle();
  }

  private topUp(bytes: number): void {
    this.received += bytes;
    if (this.received < TOP_UP_BYTES) return;
    this.socket.write(Buffer.concat([0, STREAM].map((id) => windowUpdate(id, this.received))));
    this.received = 0;
  }
}
