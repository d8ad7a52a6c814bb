/** The outermost layer of every request: its id, its metrics, its log line, and hooks for tracing. */
import { randomUUID } from 'node:crypto';
import { channel } from 'node:diagnostics_channel';
import type { Context, Middleware } from 'koa';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { asProblem, Problem } from './problem';

/** Tracers subscribe to these; a message is a {@link RequestTrace}. */
const started = channel('im-service:http:request');
const ended = channel('im-service:http:response');

export interface RequestTrace {
  readonly requestId: string;
  /** From the W3C `traceparent` header; `undefined` when there was none. */
  readonly traceId: string | undefined;
  readonly method: string;
  /** The path's pattern, never the path: ids stay out. */
  readonly route: string;
  /** 0 when it began only now. */
  readonly status: number;
  readonly durationMs: number;
}

/** What this API allows itself in headers that clients may send to us. */
const REQUEST_ID = /^[\w.:-]{1,128}$/;
const TRACEPARENT = /^[\da-f]{2}-([\da-f]{32})-[\da-f]{16}-[\da-f]{2}/;

export function observe({ metrics, log }: { metrics: Metrics; log: Logger }): Middleware {
  return async (ctx, next) => {
    const began = performance.now();
    const requestId = requestIdOf(ctx);
    const traceId = TRACEPARENT.exec(ctx.get('traceparent'))?.[1];
    ctx.set('X-Request-Id', requestId);
    const base = { requestId, traceId, method: methodOf(ctx) };
    if (started.hasSubscribers) {
      started.publish({ ...base, route: '', status: 0, durationMs: 0 } satisfies RequestTrace);
    }
    try {
      await next();
      requireAnswer(ctx);
    } catch (error) {
      answerProblem(ctx, asProblem(error), requestId, log);
    }
    const durationMs = performance.now() - began;
    const route = routeOf(ctx);
    const { status } = ctx;
    metrics.httpDuration.observe({ method: base.method, route, status }, durationMs / 1000);
    if (ended.hasSubscribers) {
      ended.publish({ ...base, route, status, durationMs } satisfies RequestTrace);
    }
    log.debug({ ...base, route, status, ms: Math.round(durationMs) }, 'request');
  };
}

function requestIdOf(ctx: Context): string {
  const given = ctx.get('x-request-id');
  return REQUEST_ID.test(given) ? given : randomUUID();
}

/** Methods that nobody knows would make a time series each. */
function methodOf(ctx: Context): string {
  return ['GET', 'HEAD', 'POST', 'DELETE', 'OPTIONS'].includes(ctx.method) ? ctx.method : 'other';
}

/** The pattern that matched, set by the router. */
function routeOf(ctx: Context): string {
  return (ctx as { _matchedRoute?: string })._matchedRoute ?? 'unmatched';
}

/** The router leaves what it does not know without a body. */
function requireAnswer(ctx: Context): void {
  if (ctx.body !== undefined && ctx.body !== null) return;
  if (ctx.status === 404) throw new Problem('NOT_FOUND', 'there is nothing here');
  if (ctx.status === 405 || ctx.status === 501) {
    throw new Problem('METHOD_NOT_ALLOWED', 'this path does not take this method');
  }
}

function answerProblem(ctx: Context, problem: Problem, requestId: string, log: Logger): void {
  const { code, status, cause } = problem;
  if (status >= 500) {
    const line = { requestId, route: routeOf(ctx), code, err: cause };
    if (status === 500) log.error(line, 'request failed unexpectedly');
    else log.warn(line, 'request failed');
  }
  ctx.status = status;
  ctx.set({ ...problem.headers });
  ctx.body = JSON.stringify(problem.toBody(requestId));
  ctx.type = 'application/problem+json';
}
