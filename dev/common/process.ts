/** The life of a neighbour's process: start, say so, run until told to stop, stop, exit. */
import type { Logger } from 'pino';

export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}

// npm start gives its children 10 s; leave it some.
const STOP_LIMIT_MS = 8_000;

/** Runs the service until SIGTERM or SIGINT; exits 0 after a clean stop, 1 when starting failed. */
export async function runUntilSignal(create: () => Service, log: Logger): Promise<void> {
  let service: Service | undefined;
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(() => {
      log.error(`not stopped within ${STOP_LIMIT_MS} ms; leaving anyway`);
      process.exit(1);
    }, STOP_LIMIT_MS).unref();
    (service?.stop() ?? Promise.resolve()).then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed');
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  try {
    service = create();
    await service.start();
  } catch (error) {
    log.fatal({ err: error }, startFailure(error));
    process.exit(1);
  }
}

function startFailure(error: unknown): string {
  return String(error).includes('EADDRINUSE')
    ? 'a port is taken; stop what holds it or set PORT_OFFSET'
    : 'could not start';
}
