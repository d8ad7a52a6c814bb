/** A call with many answers, and maybe many requests, as handlers written for grpc-js know it. */
import { Duplex } from 'node:stream';
import { status } from '@grpc/grpc-js';
import type { Status } from './status-error';

/** The call's way to its stream. */
export interface CallStream {
  /** Sends a message; `sent` is called when the peer has room for more. */
  send(message: unknown, sent: () => void): void;
  finish(ending: Status): void;
  /** The handler has room for more messages. */
  wantMore(): void;
}

const OK: Status = { code: status.OK, details: '' };

/**
 * Requests are read from it, answers written to it, `end()` ends it well; `emit('error', {code, details})`
 * ends it with that status, after what was written. Emits `cancelled` when the client has gone, gave up,
 * or set a deadline that has passed.
 */
export class StreamingCall extends Duplex {
  cancelled = false;
  /** Where the client sends just one. */
  request: unknown;
  private ending: Status = OK;

  constructor(private readonly stream: CallStream) {
    // One request at a time: what a handler that pauses has not read stays with the client.
    super({ objectMode: true, readableHighWaterMark: 1 });
    this.on('error', (error: Partial<Status> & Error) => {
      if (this.writableEnded) return;
      const { code = status.UNKNOWN, details = error.message, metadata } = error;
      this.ending = { code, details, metadata };
      this.end();
    });
  }

  /** Hands a request to the handler; false when it should not get more for now. */
  takeRequest(request: unknown): boolean {
    return this.push(request);
  }

  /** The client sends no more. */
  takeEnd(): void {
    this.push(null);
  }

  cancel(): void {
    if (this.destroyed) return;
    this.cancelled = true;
    this.emit('cancelled', 'cancelled');
    this.destroy();
  }

  override _read(): void {
    this.stream.wantMore();
  }

  override _write(message: unknown, _: BufferEncoding, done: () => void): void {
    this.stream.send(message, done);
  }

  override _final(done: () => void): void {
    this.stream.finish(this.ending);
    done();
    // What the client may still send is of no interest.
    this.destroy();
  }
}
