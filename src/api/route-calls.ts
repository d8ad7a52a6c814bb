/** What both ways in share: the bound on what is in flight, the metrics, and an answer whatever happens. */
import { asImError, ImError } from '../domain/errors';
import type { GroupStatus, PrivateStatus } from '../domain/message';
import type { RouteAnswer } from '../domain/routing';
import type { RawMessage } from '../domain/validation';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import { failed } from '../routing/answer';
import type { Lanes } from '../routing/lanes';

export type PrivateRequest = RawMessage & { readonly recipient_id: string };
export type GroupRequest = RawMessage & { readonly group_id: string };
export type Answer = RouteAnswer<PrivateStatus | GroupStatus>;
export type WayIn = 'unary' | 'stream';

export interface RouteCallsDeps {
  readonly routePrivate: (request: PrivateRequest, lanes?: Lanes) => Promise<Answer>;
  readonly routeGroup: (request: GroupRequest, lanes?: Lanes) => Promise<Answer>;
  /** Messages held at once. */
  readonly maxInFlight: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class RouteCalls {
  private inFlight = 0;
  private readonly waiting = new Set<() => void>();

  constructor(private readonly deps: RouteCallsDeps) {}

  get isFull(): boolean {
    return this.inFlight >= this.deps.maxInFlight;
  }

  get maxInFlight(): number {
    return this.deps.maxInFlight;
  }

  /** Calls back once when there is room again: those who wait in turn, one for each message that ends. */
  whenRoom(callback: () => void): void {
    this.waiting.add(callback);
  }

  forget(callback: () => void): void {
    this.waiting.delete(callback);
  }

  private(way: WayIn, request: PrivateRequest, lanes?: Lanes): Promise<Answer> {
    return this.route(way, 'private', this.deps.routePrivate(request, lanes));
  }

  group(way: WayIn, request: GroupRequest, lanes?: Lanes): Promise<Answer> {
    return this.route(way, 'group', this.deps.routeGroup(request, lanes));
  }

  /** Never rejects. */
  private async route(
    way: WayIn,
    type: 'private' | 'group',
    routing: Promise<Answer>,
  ): Promise<Answer> {
    const { metrics, log } = this.deps;
    metrics.inFlight.set(++this.inFlight);
    const began = performance.now();
    let answer: Answer;
    try {
      answer = await routing;
    } catch (error) {
      if (!(error instanceof ImError)) log.error({ err: error }, 'routing threw');
      answer = failed(asImError(error, 'ROUTING_FAILED', 'internal failure'));
    }
    metrics.inFlight.set(--this.inFlight);
    metrics.routingLatency.observe(performance.now() - began);
    metrics.answered.inc({ way });
    if (answer.success) metrics.messagesRouted.inc({ type });
    if (answer.code) {
      metrics.routingErrors.inc({ code: answer.code, success: String(answer.success) });
    }
    this.callOneWaiting();
    return answer;
  }

  private callOneWaiting(): void {
    if (this.waiting.size === 0) return;
    const [first] = this.waiting;
    if (!first) return;
    this.waiting.delete(first);
    first();
  }
}
