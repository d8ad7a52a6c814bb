/** How our processes begin and end: configuration, signals, and no error unseen. */
import { setFlagsFromString } from 'node:v8';
import { loadConfig, ConfigError } from './config';
import type { Config } from './config';
import { messageOf } from './domain/errors';
import { createLogger } from './logger';

/** Beyond the grace that parts give themselves, the process ends by force after this, ms. */
const EXTRA_GRACE_MS = 5_000;

/** Starts the process, and closes what was started on SIGTERM or SIGINT. */
export function runProcess(
  name: string,
  start: (config: Config) => Promise<{ close(): Promise<void> }>,
): void {
  allocateYoung();
  const config = configOrExit(name);
  const log = createLogger(config.LOG_LEVEL, name);
  const die = (what: string) => (error: unknown) => {
    log.fatal({ err: error instanceof Error ? error : messageOf(error) }, what);
    process.exit(1);
  };
  process.on('unhandledRejection', die('unhandled rejection'));
  process.on('uncaughtException', die('uncaught exception'));

  const running = start(config);
  running.catch(die('start failed'));
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return;
    stopping = true;
    log.info({ signal }, 'stopping');
    setTimeout(
      () => die('stopping took too long')(signal),
      config.IM_SHUTDOWN_GRACE_MS + EXTRA_GRACE_MS,
    ).unref();
    running
      .then((parts) => parts.close())
      .then(() => process.exit(0))
      .catch(die('stopping failed'));
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/**
 * What is under way while a process starts survives its first, small scavenges, so V8 may take objects of
 * calls for long-lived ones and make all later ones in the old generation: three times as many
 * mark-compacts, in processes that happened to start so (bench/NOTES.md).
 */
function allocateYoung(): void {
  setFlagsFromString('--no-allocation-site-pretenuring');
}

function configOrExit(name: string): Config {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(2);
  }
}
