/** The REST listener: health, readiness and metrics. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import Router from '@koa/router';
import Koa from 'koa';
import type { Logger } from '../logger';
import type { Metrics } from '../metrics';
import { checkReadiness } from './readiness';
import type { Checks } from './readiness';

export interface HttpDeps {
  readonly checks: Checks;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export interface HttpListener {
  /** The port that was bound; differs from the one asked for when that was 0. */
  readonly port: number;
  close(): Promise<void>;
}

/** Binds and serves; rejects when the port is taken. */
export async function listenHttp(
  host: string,
  port: number,
  deps: HttpDeps,
): Promise<HttpListener> {
  const app = createHttpApp(deps);
  const handle = app.callback();
  const server = createServer((request, response) => void handle(request, response));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
  };
}

function createHttpApp(deps: HttpDeps): Koa {
  const app = new Koa();
  app.on('error', (error: Error) => deps.log.error({ err: error.message }, 'http'));
  const routes = operationalRoutes(deps);
  app.use(routes.routes()).use(routes.allowedMethods());
  return app;
}

/** What the platform asks: `/health`, `/ready`, `/metrics`. */
function operationalRoutes({ checks, metrics, log }: HttpDeps): Router {
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
      ctx.body = await metrics.registry.metrics();
    });
}
