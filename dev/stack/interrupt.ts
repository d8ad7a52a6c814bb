/** Ctrl-C and its kin: the first asks for an orderly end, the second insists. */

/** npm hands on the terminal's own SIGINT once more: repeats this close are one Ctrl-C. */
const SAME_PRESS_MS = 1_000;

const PARENT_CHECK_MS = 1_000;

/** Listens until the returned function is called. */
export function onInterrupt(handlers: {
  readonly first: (signal: string) => void;
  readonly second: () => void;
}): () => void {
  let firstAt: number | undefined;
  const listener = (signal: NodeJS.Signals): void => {
    if (firstAt === undefined) {
      firstAt = performance.now();
      handlers.first(signal);
    } else if (performance.now() - firstAt > SAME_PRESS_MS) {
      handlers.second();
    }
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
  for (const signal of signals) process.on(signal, listener);
  // A reader that has gone (`npm start | head`, a closed terminal) must not end us half-way.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  // The starter (dev/bootstrap.mjs) passes signals on; if it is killed itself it cannot.
  const starter = process.ppid;
  const fromBootstrap = process.env['BOOTSTRAP_PID'] === String(starter);
  const parentCheck = setInterval(() => {
    if (fromBootstrap && firstAt === undefined && process.ppid !== starter) listener('SIGTERM');
  }, PARENT_CHECK_MS);
  return () => {
    clearInterval(parentCheck);
    for (const signal of signals) process.off(signal, listener);
  };
}
