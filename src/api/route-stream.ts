/** One stream of `im.v1.IMStreamService`: messages in, in order; answers out; never more than fits in between. */
import { status } from '@grpc/grpc-js';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { Turns } from '../activities/turns';
import { ImError, messageOf } from '../domain/errors';
import { privateConversation } from '../domain/ids';
import { failed } from '../routing/answer';
import type { Lanes } from '../routing/lanes';
import type { Answer, RouteCalls } from './route-calls';
import { encodeAnswers, RequestBatch } from './stream-codec';
import type { StreamAnswer, StreamRequest } from './stream-codec';

export interface RouteStreamDeps {
  readonly calls: RouteCalls;
  readonly lanes: Lanes;
  /** Unanswered messages at which reading pauses. */
  readonly maxUnanswered: number;
  /** Whether messages of one conversation wait for each other's answers: where lanes do not reach. */
  readonly oneByOne: boolean;
}

export class RouteStream {
  private batch: RequestBatch | undefined;
  private requests = 0;
  /** Taken, and their answers not yet handed to gRPC. */
  private unanswered = 0;
  private ready: StreamAnswer[] = [];
  private readonly turns = new Turns();
  /** The client reads too slowly: what is ready waits for it. */
  private isHeldUp = false;
  private hasHalfClosed = false;
  /** With which the stream ends once everything taken is answered; nothing more is taken. */
  private ending: { readonly code: status; readonly details: string } | undefined;
  private isOver = false;
  private readonly proceed = (): void => this.work();

  constructor(
    private readonly call: ServerDuplexStream<Buffer, Buffer>,
    private readonly deps: RouteStreamDeps,
  ) {
    call.on('data', (bytes: Buffer) => {
      // Paused until its last request is taken: there is never a second one.
      this.batch = new RequestBatch(bytes);
      this.work();
    });
    call.on('end', () => {
      this.hasHalfClosed = true;
      this.work();
    });
    call.on('drain', () => {
      this.isHeldUp = false;
      this.flush();
    });
    call.on('cancelled', () => this.abandon());
  }

  /** Answers what was taken, then ends with UNAVAILABLE: the client goes on elsewhere. */
  stop(): void {
    this.end({ code: status.UNAVAILABLE, details: 'the server is stopping' });
  }

  /** Takes what there is room for, and sees to it that the rest stays with the client. */
  private work(): void {
    if (this.isOver) return;
    this.take();
    if (this.batch || this.ending) this.call.pause();
    else if (!this.hasHalfClosed) this.call.resume();
    this.finishIfDone();
  }

  private take(): void {
    const { calls, maxUnanswered } = this.deps;
    while (this.batch && !this.ending && this.unanswered < maxUnanswered) {
      if (calls.isFull) {
        calls.whenRoom(this.proceed);
        return;
      }
      try {
        const request = this.batch.next();
        if (request) this.begin(request);
        else this.batch = undefined;
      } catch (error) {
        const details = `not RouteRequests: ${messageOf(error)}`;
        this.end({ code: status.INVALID_ARGUMENT, details });
      }
    }
  }

  private begin(request: StreamRequest): void {
    this.unanswered += 1;
    void this.answer(++this.requests, request);
  }

  /** The answer waits for those of its conversation that were asked for before. */
  private async answer(number: number, request: StreamRequest): Promise<void> {
    const turn = this.turns.enter(nameOf(request));
    if (this.deps.oneByOne && turn.mine) await turn.mine;
    const answer = await this.route(request);
    if (turn.mine) await turn.mine;
    this.ready.push({ number, request, answer });
    turn.leave();
    // Whatever else gets ready in this turn of the event loop goes with it.
    if (this.ready.length === 1) setImmediate(() => this.flush());
  }

  private route(request: StreamRequest): Promise<Answer> | Answer {
    const { calls, lanes } = this.deps;
    switch (request.kind) {
      case 'private':
        return calls.private('stream', request.message, lanes);
      case 'group':
        return calls.group('stream', request.message, lanes);
      case 'unreadable':
        return failed(new ImError('ROUTING_FAILED', request.problem));
    }
  }

  private flush(): void {
    if (this.isOver || this.isHeldUp) return;
    const { ready } = this;
    if (ready.length > 0) {
      this.ready = [];
      this.unanswered -= ready.length;
      this.isHeldUp = !this.call.write(encodeAnswers(ready));
    }
    this.work();
  }

  private end(ending: { code: status; details: string }): void {
    this.ending ??= ending;
    this.batch = undefined;
    this.work();
  }

  private finishIfDone(): void {
    if (this.unanswered > 0 || this.batch || this.isOver) return;
    if (!this.hasHalfClosed && !this.ending) return;
    this.isOver = true;
    // After the answers that are still on their way out.
    if (this.ending) this.call.emit('error', this.ending);
    else this.call.end();
  }

  /** The client has gone. What was taken is finished, and found by whoever sends it again. */
  private abandon(): void {
    this.isOver = true;
    this.batch = undefined;
    this.ready = [];
    this.deps.calls.forget(this.proceed);
  }
}

/** Of the conversation, as far as the request has one; nothing hangs on it but the order of answers. */
function nameOf(request: StreamRequest): string {
  switch (request.kind) {
    case 'private':
      return privateConversation(request.message.sender_id, request.message.recipient_id).key;
    case 'group':
      return request.message.group_id;
    case 'unreadable':
      return '';
  }
}
