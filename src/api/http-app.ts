/** The REST listener: what clients call, and what the platform asks. */
import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import cors from '@koa/cors';
import Router from '@koa/router';
import Koa from 'koa';
import compress from 'koa-compress';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import { checkReadiness } from './readiness';
import type { Checks } from './readiness';
import { clientApi } from './rest/client-api';
import type { ClientApiOptions } from './rest/client-api';
import { docsRoutes } from './rest/docs';
import { securityHeaders } from './rest/headers';
import { observe } from './rest/observe';
import { Problem } from './rest/problem';
import { refuseUnreadable } from './rest/unreadable-requests';

export interface HttpDeps {
  readonly checks: Checks;
  /** What clients may call; a process without it answers the platform alone. */
  readonly client?: ClientOptions;
  readonly metrics: Metrics;
  /** `/metrics` of several processes together; of this one alone without. */
  readonly allMetrics?: (() => Promise<string>) | undefined;
  readonly log: Logger;
}

export interface ClientOptions extends ClientApiOptions {
  /** Origins whose pages may call us; `*`: all. */
  readonly corsOrigins: readonly string[];
  /** Proxies in front of us that add to X-Forwarded-For. */
  readonly trustedProxies: number;
}

export interface HttpListener {
  /** The port that was bound; differs from the one asked for when that was 0. */
  readonly port: number;
  /** Stops accepting, finishes what is in flight, and ends what is not over after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** How long a client may take to send its headers, and the whole request, ms. */
const HEADERS_TIMEOUT_MS = 10_000;
const REQUEST_TIMEOUT_MS = 30_000;
/** How often it is looked whether one of them is over, ms. */
const TIMEOUT_CHECK_MS = 1_000;
/** Longer than the usual 60 s of load balancers, so that they close idle connections and not we. */
const KEEP_ALIVE_MS = 65_000;
/** Answers from this size on are compressed, bytes. */
const COMPRESS_FROM = 2_048;

/** Binds and serves; rejects when the port is taken. */
export async function listenHttp(
  host: string,
  port: number,
  deps: HttpDeps,
): Promise<HttpListener> {
  const handle = createHttpApp(deps).callback();
  const answers = new WeakMap<Duplex, ServerResponse>();
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    answers.set(request.socket, response);
    void handle(request, response);
  };
  const server = createServer(
    {
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_CHECK_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
      // Ours has a body.
      requireHostHeader: false,
    },
    onRequest,
  );
  // Node would answer 417 without a body; RFC 9110 lets us not care what a client expects.
  server.on('checkExpectation', onRequest);
  server.on('clientError', refuseUnreadable(answers, deps.log));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: (graceMs) => shutDown(server, graceMs),
  };
}

function shutDown(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(timer);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function createHttpApp(deps: HttpDeps): Koa {
  const { client } = deps;
  const trustedProxies = client?.trustedProxies ?? 0;
  const app = new Koa({ proxy: trustedProxies > 0, maxIpsCount: trustedProxies });
  app.on('error', (error: Error) => deps.log.debug({ err: error.message }, 'http'));
  app.use(observe(deps));
  app.use(securityHeaders);
  app.use(requireHost);
  use(app, operationalRoutes(deps));
  if (client) {
    app.use(corsFor(client.corsOrigins));
    app.use(compress({ threshold: COMPRESS_FROM, br: false, deflate: false }));
    use(app, docsRoutes(client.endpoints));
    use(app, clientApi(client));
  }
  return app;
}

/** RFC 9112, section 3.2. */
const requireHost: Koa.Middleware = async (ctx, next) => {
  if (ctx.req.httpVersion === '1.1' && ctx.req.headers.host === undefined) {
    throw new Problem('INVALID_REQUEST', 'the header Host is missing');
  }
  await next();
};

function use(app: Koa, routes: Router): void {
  app.use(routes.routes()).use(routes.allowedMethods());
}

function corsFor(origins: readonly string[]): Koa.Middleware {
  return cors({
    origin: (ctx) => {
      const origin = ctx.get('Origin');
      return origins.includes('*') || origins.includes(origin) ? origin : '';
    },
    allowMethods: ['GET', 'POST', 'DELETE'],
    allowHeaders: ['Authorization', 'Content-Type', 'X-Request-Id', 'traceparent'],
    exposeHeaders: ['X-Request-Id', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'Location'],
    maxAge: 600,
  });
}

/** What the platform asks: `/health`, `/ready`, `/metrics`. */
function operationalRoutes({ checks, metrics, allMetrics, log }: HttpDeps): Router {
  return new Router()
    .get('/health', (ctx) => {
      ctx.body = { status: 'healthy', timestamp: new Date().toISOString() };
    })
    .get('/ready', async (ctx) => {
      const { ready, dependencies } = await checkReadiness(checks, log);
      ctx.status = ready ? 200 : 503;
      ctx.body = { status: ready ? 'ready' : 'not_ready', dependencies };
    })
    .get('/metrics', async (ctx) => {
      ctx.type = metrics.registry.contentType;
      ctx.body = await (allMetrics?.() ?? metrics.registry.metrics());
    });
}
