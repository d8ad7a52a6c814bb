/** What `npm start` runs on the servers: the product's two processes and the dev neighbours. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { StackEnvironment } from './environment';
import type { Layout } from './layout';
import type { PortUse } from './ports';
import { BackgroundProcess, type Command } from './process';

export interface App {
  readonly name: string;
  /** The compiled program. */
  readonly file: string;
  readonly ports: readonly PortUse[];
  /** A page that answers 200 once it serves. */
  readonly readyUrl?: string;
}

/** The service drains for at most 10 s (IM_SHUTDOWN_GRACE_MS); a little more than that. */
const STOP_GRACE_MS = 15_000;

/** All of them, the user service only if it is not somewhere else. */
export function appsFor(environment: StackEnvironment, withUserService: boolean): App[] {
  const use = (port: string, what: string): PortUse => ({ port: Number(port), what });
  const userService: App = {
    name: 'user-service',
    file: 'dist/dev/user-service/main.js',
    ports: [
      use(environment.DEV_USER_SERVICE_PORT, 'dev user service'),
      use(environment.DEV_USER_SERVICE_HTTP_PORT, 'dev user service, HTTP'),
    ],
  };
  return [
    ...(withUserService ? [userService] : []),
    {
      name: 'gateway',
      file: 'dist/dev/gateway/main.js',
      ports: [
        use(environment.DEV_GATEWAY_PORT, 'dev gateway'),
        use(environment.DEV_GATEWAY_HTTP_PORT, 'dev gateway, WebSocket'),
      ],
    },
    {
      name: 'server',
      file: 'dist/src/server.js',
      ports: [use(environment.GRPC_PORT, 'gRPC'), use(environment.HTTP_PORT, 'REST')],
      readyUrl: `http://127.0.0.1:${environment.HTTP_PORT}/ready`,
    },
    {
      name: 'worker',
      file: 'dist/src/worker.js',
      ports: [use(environment.IM_WORKER_HTTP_PORT, "the worker's health and metrics")],
      readyUrl: `http://127.0.0.1:${environment.IM_WORKER_HTTP_PORT}/ready`,
    },
  ];
}

/** Whether the app has been compiled. */
export function isBuilt(app: App, layout: Layout): boolean {
  return existsSync(join(layout.root, app.file));
}

export function launchApp(
  app: App,
  layout: Layout,
  environment: StackEnvironment,
): Promise<unknown> {
  const command: Command = {
    file: process.execPath,
    args: ['--enable-source-maps', join(layout.root, app.file)],
    cwd: layout.root,
    env: { ...process.env, ...environment },
  };
  return new BackgroundProcess(app.name, layout).launch(command);
}

/** Ends every app of the instance that is running, from this session or one that was killed. */
export async function stopApps(
  layout: Layout,
  environment: StackEnvironment,
  signal: 'SIGTERM' | 'SIGKILL',
): Promise<void> {
  await Promise.all(
    appsFor(environment, true).map((app) =>
      new BackgroundProcess(app.name, layout).stop(signal, STOP_GRACE_MS),
    ),
  );
}
