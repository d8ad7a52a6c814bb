/**
 * The client's side of one HTTP/2 connection that carries one stream of `im.v1.IMStreamService`. What
 * was sent since the last flush goes as one message of the stream; answers name requests by number.
 */
import type { Socket } from 'node:net';
import {
  DEFAULT_FRAME_SIZE,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  frame,
  HEAD_BYTES,
  SETTING,
  writeHead,
} from '../../../src/http2/frames';
import { readFields } from '../protobuf';
import { ClientPeer } from './client-peer';
import type { CallHandlers } from './client-peer';
import { PREFIX_BYTES } from '../../../src/http2/grpc-message';
import { windowUpdate } from './frames';
import { requestHeaders } from './hpack';
import type { RequestTemplate } from './request-template';

const PATH = '/im.v1.IMStreamService/Route';
const STREAM = 1;
/** Requests unanswered at most; a power of two, because request numbers index it. */
const SLOTS = 1 << 17;
/** Room of one batch. */
const SLAB_BYTES = 256 * 1024;
/** Field numbers of RouteResponse. */
const ANSWER = { number: 1, privateMessage: 3, groupMessage: 4 } as const;

// A stream has no deadline of its own.
const OPENING = frame(
  FRAME.headers,
  FLAG.endHeaders,
  STREAM,
  requestHeaders('im-service', PATH, []).first,
);

export class StreamConnection extends ClientPeer {
  private readonly tags = new Float64Array(SLOTS);
  private readonly times = new Float64Array(SLOTS);
  private requests = 0;
  private slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  /** The batch that is being put together: from its gRPC prefix on, in `slab`. */
  private batchFrom = 0;
  private writtenTo = PREFIX_BYTES;
  /** Bytes of the stream that wait for the peer's windows. */
  private unsent: Buffer[] = [];
  private streamWindow = DEFAULT_WINDOW;

  static open(port: number, handlers: CallHandlers): Promise<StreamConnection> {
    return ClientPeer.connected(port, (socket) => new StreamConnection(socket, handlers));
  }

  private constructor(socket: Socket, handlers: CallHandlers) {
    super(socket, handlers, [OPENING]);
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
  override flush(): void {
    const start = this.batchFrom;
    if (this.writtenTo > start + PREFIX_BYTES) {
      this.slab[start] = 0;
      this.slab.writeUInt32BE(this.writtenTo - start - PREFIX_BYTES, start + 1);
      this.unsent.push(this.slab.subarray(start, this.writtenTo));
      this.batchFrom = this.writtenTo;
      this.writtenTo += PREFIX_BYTES;
      if (this.writtenTo > SLAB_BYTES / 2) {
        this.slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
        this.batchFrom = 0;
        this.writtenTo = PREFIX_BYTES;
      }
    }
    if (this.unsent.length > 0) this.sendData();
  }

  private sendData(): void {
    const out: Buffer[] = [];
    for (let next = this.unsent[0]; next; next = this.unsent[0]) {
      const size = Math.min(next.length, DEFAULT_FRAME_SIZE, this.sendWindow, this.streamWindow);
      if (size <= 0) break;
      const head = Buffer.allocUnsafe(HEAD_BYTES);
      writeHead(head, 0, [size, FRAME.data, 0, STREAM]);
      out.push(head, next.subarray(0, size));
      this.sendWindow -= size;
      this.streamWindow -= size;
      if (size === next.length) this.unsent.shift();
      else this.unsent[0] = next.subarray(size);
    }
    if (out.length > 0) this.socket.write(Buffer.concat(out));
  }

  protected override onMessage(_: number, bytes: Buffer, start: number, end: number): void {
    readFields(bytes, start, end, {
      onVarint: () => undefined,
      onBytes: (_response, from, to) => this.onAnswer(bytes, from, to),
    });
  }

  protected override onEnd(): void {
    this.handlers.onClosed(new Error('the stream ended'));
  }

  protected override onReset(): void {
    this.handlers.onClosed(new Error('the stream was reset'));
  }

  protected override onSetting(id: number, value: number): void {
    if (id === SETTING.initialWindowSize) this.streamWindow += value - DEFAULT_WINDOW;
  }

  protected override onWindow(streamId: number, increment: number): void {
    if (streamId !== 0) this.streamWindow += increment;
  }

  /** The stream's window too: it lasts as long as the connection. */
  protected override topUp(bytes: number): void {
    super.topUp(bytes);
    this.socket.write(windowUpdate(STREAM, bytes));
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
}
