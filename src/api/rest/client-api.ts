/** The endpoints for clients: each request is counted, authenticated, read, answered, in this order. */
import { Readable } from 'node:stream';
import bodyParser from '@koa/bodyparser';
import Router from '@koa/router';
import type { Context, Middleware } from 'koa';
import { DeadlineError, withDeadline } from '../../activities/deadline';
import type { ErasedView } from '../../domain/erasure';
import { ImError } from '../../domain/errors';
import type { Endpoint, Reply } from './endpoint';
import { Problem } from './problem';
import type { RateLimits } from './rate-limits';
import type { Caller, TokenVerifier } from './token-verifier';

export interface ClientApiOptions {
  readonly endpoints: readonly Endpoint[];
  readonly tokens: TokenVerifier;
  readonly limits: RateLimits;
  /** They may follow what becomes of their data, and nothing else. */
  readonly erased: Pick<ErasedView, 'has'>;
  /** How long an endpoint may work on one request, and how long a body may take to come, ms. */
  readonly deadlineMs: number;
  /** How long a client may take nothing of a stream, ms. */
  readonly stallMs: number;
  /** Requests worked on at once; more are refused. */
  readonly maxInFlight: number;
  readonly bodyMaxBytes: number;
}

/** Paths that a user who was erased may still call. */
const FOR_THE_ERASED = '/api/v1/gdpr/';

/** A router with every endpoint. */
export function clientApi(options: ClientApiOptions): Router {
  const router = new Router();
  const readBody = bodyReader(options.bodyMaxBytes);
  const inFlight = { count: 0 };
  for (const endpoint of options.endpoints) {
    // A colon before the name where OpenAPI has braces around it.
    const path = endpoint.path.replace(/\{(\w+)\}/g, ':$1');
    router.register(
      path,
      [endpoint.method],
      [admitted(inFlight, options.maxInFlight), answered(endpoint, options, readBody)],
    );
  }
  return router;
}

/** Over capacity the caller hears of it at once; nothing queues. */
function admitted(inFlight: { count: number }, max: number): Middleware {
  return async (_ctx, next) => {
    if (inFlight.count >= max) {
      throw new ImError('SERVICE_UNAVAILABLE', `${max} requests are in flight`);
    }
    inFlight.count += 1;
    try {
      await next();
    } finally {
      inFlight.count -= 1;
    }
  };
}

function answered(endpoint: Endpoint, options: ClientApiOptions, readBody: Middleware): Middleware {
  const { erased, deadlineMs, stallMs } = options;
  return async (ctx) => {
    const caller = await identified(ctx, options);
    if (erased.has(caller.userId) && !endpoint.path.startsWith(FOR_THE_ERASED)) {
      throw new Problem('FORBIDDEN', 'the user was erased');
    }
    if (endpoint.body) await readJson(ctx, readBody, deadlineMs);
    const reply = await bounded(
      endpoint.handle({
        caller,
        params: ctx['params'] as unknown,
        query: ctx.query,
        body: (ctx.request as { body?: unknown }).body,
        accepts: (...types) => ctx.accepts(types),
      }),
      deadlineMs,
    );
    ctx.status = reply.status;
    if (reply.headers) ctx.set(reply.headers);
    if (reply.body instanceof Readable) {
      ctx.body = reply.body;
      endWith(reply.body, ctx, stallMs);
    } else {
      ctx.type = 'json';
      // As text, because Koa and its compression would write an object out each time they ask its length.
      ctx.body = JSON.stringify(reply.body);
    }
  };
}

/** Who calls, within the limits. The address's comes first: checking tokens is work for us. */
async function identified(
  ctx: Context,
  { limits, tokens }: Pick<ClientApiOptions, 'limits' | 'tokens'>,
): Promise<Caller> {
  const { authorization } = ctx.headers;
  const known = tokens.remembered(authorization);
  if (known) {
    await limits.takeForBoth(ctx, known.userId);
    return known;
  }
  await limits.takeForAddress(ctx);
  const caller = await tokens.verify(authorization);
  await limits.takeForUser(ctx, caller.userId);
  return caller;
}

/**
 * A stream that fails cuts the answer off, so that nobody takes it for whole; a client that does not
 * read is let go.
 */
function endWith(stream: Readable, ctx: Context, stallMs: number): void {
  stream.once('error', () => ctx.res.destroy());
  ctx.res.setTimeout(stallMs, () => ctx.res.destroy());
}

async function bounded(work: Promise<Reply>, deadlineMs: number): Promise<Reply> {
  try {
    return await withDeadline(work, deadlineMs, 'the request');
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    // Nobody is there any more for what comes late.
    work.then(discard, () => undefined);
    throw new ImError('SERVICE_UNAVAILABLE', error.message, { cause: error });
  }
}

function discard({ body }: Reply): void {
  if (body instanceof Readable) body.destroy();
}

async function readJson(ctx: Context, readBody: Middleware, deadlineMs: number): Promise<void> {
  if (!ctx.is('application/json')) {
    throw new Problem('UNSUPPORTED_MEDIA_TYPE', 'the body must be application/json');
  }
  const reading = Promise.resolve(readBody(ctx, () => Promise.resolve()));
  try {
    await withDeadline(reading, deadlineMs, 'the body');
  } catch (error) {
    if (!(error instanceof DeadlineError)) throw error;
    // What is left of it must not be taken for the next request.
    throw new Problem('REQUEST_TIMEOUT', error.message, { connection: 'close' });
  }
}

function bodyReader(maxBytes: number): Middleware {
  return bodyParser({
    enableTypes: ['json'],
    jsonLimit: maxBytes,
    parsedMethods: ['POST', 'PUT', 'PATCH', 'DELETE'],
    onError: (error) => {
      const { status } = error as { status?: number };
      if (status === 413 || status === 415) throw error;
      // A parser's own message quotes the body, which is content; inflating fails without a status.
      throw new Problem('INVALID_REQUEST', 'the body is not a JSON object or array');
    },
  });
}
