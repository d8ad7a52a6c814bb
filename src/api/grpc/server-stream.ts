/** One call on its HTTP/2 stream: requests in, the handler's answers out, an end whatever happens. */
import { status } from '@grpc/grpc-js';
import type { Metadata } from '@grpc/grpc-js';
import { DEFAULT_WINDOW, ERROR } from '../../http2/frames';
import { MessageReader } from './message-reader';
import { decoded } from './methods';
import type { Method } from './methods';
import type { Outbox, Outgoing } from './outbox';
import { StreamError } from './request-head';
import type { RequestHead } from './request-head';
import { trailers, trailersOnly } from './responses';
import { StatusError } from './status-error';
import type { Status } from './status-error';
import { StreamingCall } from './streaming-call';
import type { CallStream } from './streaming-call';

/** What a client may send on a stream before we say that we have read it, bytes. */
export const STREAM_WINDOW = DEFAULT_WINDOW;

/** The connection, as a stream needs it. */
export interface StreamOwner {
  readonly outbox: Outbox;
  /** The client may send so many more bytes on the stream. */
  allowMore(id: number, bytes: number): void;
  /** The last frame is on its way. */
  finished(stream: ServerStream): void;
  /** Calls back when the client's socket takes more: at once, if it does now. */
  whenWritable(callback: () => void): void;
  /** Told of what a handler throws; its call has ended. */
  readonly report: (error: unknown) => void;
}

export class ServerStream implements Outgoing, CallStream {
  window: number;
  hasHeaders = false;
  readonly waiting: Buffer[] = [];
  sent = 0;
  trailers: Buffer | undefined;
  /** The client sends no more. */
  isEnded = false;
  /** Of {@link held}, what the connection has counted. */
  counted = 0;
  private readonly reader: MessageReader;
  private received = 0;
  /** Bytes that the client may still send. */
  private allowance = STREAM_WINDOW;
  private unacknowledged = 0;
  private request: Buffer | undefined;
  private call: StreamingCall | undefined;
  private isHeldUp = false;
  private isOver = false;
  private afterSent: (() => void) | undefined;

  constructor(
    readonly id: number,
    private readonly head: RequestHead,
    private readonly method: Method,
    /** On the clock of `performance.now()`, ms. */
    readonly deadline: number,
    maxMessageBytes: number,
    private readonly owner: StreamOwner,
  ) {
    this.window = owner.outbox.streamWindow;
    this.reader = new MessageReader(head.encoding, maxMessageBytes);
  }

  /** The headers are read: a handler that takes a stream of requests begins. */
  start(): void {
    const { method } = this;
    if (method.kind === 'streaming' && method.takesStream) this.guard(() => this.open(method));
  }

  /** Bytes of requests that the handler does not have yet. */
  get held(): number {
    return this.reader.held + (this.request?.length ?? 0);
  }

  /** DATA has come, `length` bytes with its padding; throws {@link StreamError}. */
  receive(payload: Buffer, length: number): void {
    this.allowance -= length;
    if (this.allowance < 0) throw new StreamError('more than the window', ERROR.flowControl);
    this.received += payload.length;
    const { contentLength } = this.head;
    if (contentLength !== undefined && this.received > contentLength) throw wrongLength();
    this.unacknowledged += length;
    if (this.isOver) return;
    this.guard(() => {
      for (const message of this.reader.read(payload)) this.take(message);
    });
    if (!this.isHeldUp) this.acknowledge();
  }

  /** The client has said all; throws {@link StreamError}. */
  receiveEnd(): void {
    this.isEnded = true;
    const { contentLength } = this.head;
    if (contentLength !== undefined && this.received !== contentLength) throw wrongLength();
    if (this.isOver) return;
    this.guard(() => {
      if (this.reader.held > 0)
        throw new StatusError(status.INTERNAL, 'The last message is cut off');
      if (this.call) this.call.takeEnd();
      else this.begin();
    });
  }

  /** The client has gone or given up: whatever the handler has to say is not said. */
  cancel(): void {
    // Also what is said already may still wait for the client's window.
    this.owner.outbox.drop(this);
    if (this.isOver) return;
    this.isOver = true;
    this.afterSent = undefined;
    this.call?.cancel();
  }

  /** Ends it from our side, whatever the handler does. */
  giveUp(ending: Status): void {
    if (this.isOver) return;
    this.owner.outbox.drop(this);
    this.finish(ending);
    this.call?.cancel();
  }

  // ---- what the handler does

  send(message: unknown, sent: () => void): void {
    if (this.isOver) return sent();
    this.afterSent = sent;
    this.guard(() => this.owner.outbox.message(this, this.encoded(message)));
  }

  finish(ending: Status): void {
    if (this.isOver) return;
    this.isOver = true;
    const { outbox } = this.owner;
    outbox.end(this, this.hasHeaders ? trailers(ending) : trailersOnly(ending));
  }

  wantMore(): void {
    this.isHeldUp = false;
    this.acknowledge();
  }

  onSent(): void {
    const sent = this.afterSent;
    this.afterSent = undefined;
    if (sent) this.owner.whenWritable(sent);
  }

  onFinished(): void {
    this.owner.finished(this);
  }

  // ----

  private take(message: Buffer): void {
    if (this.call) {
      if (!this.call.takeRequest(decoded(this.method, message))) this.isHeldUp = true;
    } else if (this.request) {
      throw new StatusError(status.UNIMPLEMENTED, 'Received more than one request message');
    } else {
      this.request = message;
    }
  }

  /** One request is all there is to wait for. */
  private begin(): void {
    const { method } = this;
    if (!this.request) {
      throw new StatusError(status.UNIMPLEMENTED, 'Received no request message');
    }
    const request = decoded(method, this.request);
    this.request = undefined;
    if (method.kind === 'streaming') {
      this.open(method, request);
      return;
    }
    method.handler({ request }, (error, value, metadata) => {
      if (error) this.finish(statusOf(error, metadata));
      else this.guard(() => this.answer(value, metadata));
    });
  }

  private open(method: Extract<Method, { kind: 'streaming' }>, request?: unknown): void {
    const call = new StreamingCall(this);
    this.call = call;
    call.request = request;
    method.handler(call);
  }

  private answer(value: unknown, metadata: Metadata | undefined): void {
    if (this.isOver) return;
    this.owner.outbox.message(this, this.encoded(value));
    this.finish({ code: status.OK, details: '', metadata });
  }

  private encoded(value: unknown): Uint8Array {
    try {
      return this.method.encode(value);
    } catch {
      throw new StatusError(status.INTERNAL, 'Error serializing response');
    }
  }

  /** What goes wrong ends the call, and the call only. */
  private guard(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof StatusError)) this.owner.report(error);
      // What a handler throws is not for clients to read.
      const unknown = { code: status.UNKNOWN, details: 'Server method handler threw error' };
      this.giveUp(error instanceof StatusError ? error : unknown);
    }
  }

  private acknowledge(): void {
    if (this.isEnded || this.isOver || this.unacknowledged <= STREAM_WINDOW / 2) return;
    this.owner.allowMore(this.id, this.unacknowledged);
    this.allowance += this.unacknowledged;
    this.unacknowledged = 0;
  }
}

function statusOf(error: Partial<Status>, trailer: Metadata | undefined): Status {
  const { code = status.UNKNOWN, details = 'Unknown Error', metadata } = error;
  return { code, details, metadata: metadata ?? trailer };
}

function wrongLength(): StreamError {
  return new StreamError('not as long as content-length says', ERROR.protocol);
}
