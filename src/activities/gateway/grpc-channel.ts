/**
 * Unary gRPC calls to one address, over one connection at a time (grpc-connection.ts).
 *
 * One connection keeps the calls in order, and one is enough: it carries more calls a second than a
 * process can make. A call waits while the connection is being made or the peer allows no more
 * streams, never longer than its deadline. While the address is known to refuse, calls fail at once.
 * No call has a timer of its own: one timer looks after the earliest deadline of all.
 */
import { status } from '@grpc/grpc-js';
import { PlainMap } from '../plain-map';
import { framed } from '../../http2/grpc-message';
import { GrpcError } from './grpc-call';
import type { Call, Method } from './grpc-call';
import { GrpcConnection } from './grpc-connection';

/** First and longest pause between attempts to connect, ms: how soon a gateway that is back is reached. */
const BACKOFF_MS = [100, 1_000] as const;

export class GrpcChannel {
  private readonly target: { readonly host: string; readonly port: number };
  /** For calls that start now; draining ones are left to themselves until they close. */
  private connection: GrpcConnection | undefined;
  private readonly draining = new Set<GrpcConnection>();
  /** By number, in the order in which they began. */
  private readonly calls = new PlainMap<number, Call>();
  private begun = 0;
  /** Calls that no connection carries yet, in order. */
  private waiting: Call[] = [];
  private pause = 0;
  private retryAt = 0;
  private timer: NodeJS.Timeout | undefined;
  private timerAt = Infinity;
  private closed = false;

  constructor(readonly address: string) {
    this.target = targetOf(address);
  }

  /** The response's message; rejects with {@link GrpcError}, after `deadlineMs` at the latest. */
  unary(method: Method, message: Uint8Array, deadlineMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const startedAt = performance.now();
      const number = ++this.begun;
      const call: Call = {
        method,
        body: framed(message),
        startedAt,
        deadline: startedAt + deadlineMs,
        resent: false,
        carrier: undefined,
        stream: 0,
        settle: (error, response) => {
          this.calls.delete(number);
          if (error) reject(error);
          else resolve(response as Buffer);
          this.closeIfIdle();
        },
      };
      this.calls.set(number, call);
      this.watch(call.deadline);
      if (this.connection?.hasRoom && this.waiting.length === 0) this.connection.start(call);
      else this.enqueue([call]);
    });
  }

  /** Lets the calls under way end, then disconnects; new ones fail. */
  close(): void {
    this.closed = true;
    this.closeIfIdle();
  }

  private closeIfIdle(): void {
    if (!this.closed || this.calls.size > 0) return;
    clearTimeout(this.timer);
    this.connection?.destroy('the channel is closed');
    for (const connection of this.draining) connection.destroy('the channel is closed');
  }

  /** Puts calls before those that wait already: they came first. */
  private enqueue(calls: Call[], first = false): void {
    if (first) this.waiting.unshift(...calls);
    else this.waiting.push(...calls);
    this.pump();
  }

  private pump(): void {
    if (this.waiting.length === 0) return;
    if (!this.connection && !this.reconnect()) return;
    while (this.connection?.hasRoom) {
      const call = this.waiting.shift();
      if (!call) return;
      this.connection.start(call);
    }
  }

  /** False when it may not be tried now: what waits has failed. */
  private reconnect(): boolean {
    const refused = this.closed
      ? 'the channel is closed'
      : performance.now() < this.retryAt && `${this.address} was not reached just now`;
    if (refused) {
      this.failWaiting(refused);
      return false;
    }
    this.connection = this.connect();
    return true;
  }

  private connect(): GrpcConnection {
    let good = false;
    const connection = new GrpcConnection(this.target, {
      ready: () => this.pump(),
      room: () => {
        // It carries calls: the next one need not wait before it is made.
        if (!good) this.pause = 0;
        good = true;
        if (this.waiting.length > 0) this.pump();
      },
      unbegun: (calls) => this.resend(calls),
      draining: () => {
        this.draining.add(connection);
        if (this.connection === connection) this.connection = undefined;
        this.pump();
      },
      closed: (reason) => this.onClosed(connection, good, reason),
    });
    return connection;
  }

  private onClosed(connection: GrpcConnection, good: boolean, reason: string): void {
    this.draining.delete(connection);
    if (this.connection !== connection) return;
    this.connection = undefined;
    if (good) {
      this.pump();
      return;
    }
    this.pause = Math.min(Math.max(this.pause * 2, BACKOFF_MS[0]), BACKOFF_MS[1]);
    this.retryAt = performance.now() + this.pause;
    this.failWaiting(`${this.address} is not reached: ${reason}`);
  }

  private resend(calls: Call[]): void {
    const again = calls.filter((call) => !call.resent);
    for (const call of calls) {
      if (call.resent) call.settle(new GrpcError(status.UNAVAILABLE, 'refused twice'));
      call.resent = true;
      call.carrier = undefined;
    }
    this.enqueue(again, true);
  }

  private failWaiting(reason: string): void {
    const lost = this.waiting;
    this.waiting = [];
    for (const call of lost) call.settle(new GrpcError(status.UNAVAILABLE, reason));
  }

  // ---- deadlines

  private watch(deadline: number): void {
    if (deadline >= this.timerAt) return;
    clearTimeout(this.timer);
    this.timerAt = deadline;
    this.timer = setTimeout(() => this.expire(), Math.max(deadline - performance.now(), 0));
  }

  private expire(): void {
    this.timerAt = Infinity;
    const now = performance.now();
    let next = Infinity;
    let anyWaited = false;
    for (const call of this.calls.values()) {
      if (call.deadline > now) {
        next = Math.min(next, call.deadline);
        continue;
      }
      if (call.carrier) call.carrier.cancel(call);
      else anyWaited = true;
      call.settle(new GrpcError(status.DEADLINE_EXCEEDED, `no answer from ${this.address}`));
    }
    if (anyWaited) this.waiting = this.waiting.filter((call) => call.deadline > now);
    if (next < Infinity) this.watch(next);
  }
}

/** `host:port`, also `[v6 address]:port`. */
function targetOf(address: string): { host: string; port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  return { host, port: Number(address.slice(colon + 1)) };
}
