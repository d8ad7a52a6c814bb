/**
 * The client's side of one HTTP/2 connection that carries unary gRPC calls. A call is two numbers of
 * the caller's own, kept by stream in flat arrays: nothing is allocated for a call.
 */
import type { Socket } from 'node:net';
import { SETTING } from '../../../src/http2/frames';
import { ClientPeer } from './client-peer';
import type { CallHandlers } from './client-peer';
import type { RequestTemplate } from './request-template';

/** Streams in flight on a connection at most; a power of two, because stream ids index it. */
const SLOTS = 1 << 15;
const FREE = -1;
/** Requests are put together in pieces of this size, each written to the socket at once. */
const SLAB_BYTES = 256 * 1024;

interface Waiting {
  readonly template: RequestTemplate;
  readonly numbers: readonly number[];
  readonly tag: number;
  readonly at: number;
}

export class UnaryConnection extends ClientPeer {
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

  static open(port: number, handlers: CallHandlers): Promise<UnaryConnection> {
    return ClientPeer.connected(port, (socket) => new UnaryConnection(socket, handlers));
  }

  private constructor(socket: Socket, handlers: CallHandlers) {
    super(socket, handlers);
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
  override flush(): void {
    if (this.writtenTo === this.unsentFrom) return;
    this.socket.write(this.slab.subarray(this.unsentFrom, this.writtenTo));
    this.unsentFrom = this.writtenTo;
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

  protected override onMessage(streamId: number, bytes: Buffer, start: number, end: number): void {
    this.answers[slotOf(streamId)] = this.handlers.decode(bytes, start, end);
  }

  protected override onEnd(streamId: number): void {
    this.done(streamId);
  }

  protected override onReset(streamId: number): void {
    this.answers[slotOf(streamId)] = FREE;
    this.done(streamId);
  }

  protected override onSetting(id: number, value: number): void {
    if (id === SETTING.maxConcurrentStreams) this.maxInFlight = Math.min(value, SLOTS / 2);
  }

  protected override onSettings(settings: Iterable<[id: number, value: number]>): void {
    super.onSettings(settings);
    this.sendWaiting();
  }

  protected override onWindow(): void {
    this.sendWaiting();
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

  private sendWaiting(): void {
    let sent = 0;
    for (const { template, numbers, tag, at } of this.waiting) {
      if (!this.mayCall(template)) break;
      this.call(template, numbers, tag, at);
      sent += 1;
    }
    if (sent > 0) this.waiting.splice(0, sent);
  }
}

function slotOf(streamId: number): number {
  return (streamId >>> 1) & (SLOTS - 1);
}
