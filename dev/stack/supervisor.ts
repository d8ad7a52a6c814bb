/** Watches background processes, and gives each that ends by itself a bounded number of new starts. */
import { setTimeout as sleep } from 'node:timers/promises';

import { explain } from './errors';

export interface Watched {
  readonly name: string;
  /** Whether it ended without having been stopped. */
  crashed(): Promise<boolean>;
  restart(): Promise<void>;
  logTail(): Promise<string>;
}

const LOOK_EVERY_MS = 500;
const BACKOFF_MS = [1_000, 2_000, 4_000, 8_000, 16_000];
/** One that has run this long is forgiven its earlier crashes. */
const STABLE_MS = 5 * 60_000;

/** Runs until `signal`; never throws for what happens to the watched. */
export async function supervise(
  watched: readonly Watched[],
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  await Promise.all(watched.map((one) => watch(one, report, signal)));
}

async function watch(
  one: Watched,
  report: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  let crashes = 0;
  let lastCrash = 0;
  while (await pause(LOOK_EVERY_MS, signal)) {
    if (!(await one.crashed())) continue;
    if (Date.now() - lastCrash > STABLE_MS) crashes = 0;
    lastCrash = Date.now();
    const backoff = BACKOFF_MS[crashes++];
    report(`${one.name} has ended unexpectedly. ${await one.logTail()}`);
    if (backoff === undefined) {
      report(`${one.name} is not started again: it has ended ${crashes} times in a row.`);
      return;
    }
    report(`${one.name} is started again in ${backoff / 1000} s`);
    if (!(await pause(backoff, signal))) return;
    try {
      await one.restart();
    } catch (error) {
      report(`${one.name}: ${explain(error)}`);
    }
  }
}

/** Resolves with whether to go on. */
async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    return false; // Aborted: the only way this sleep fails.
  }
  return !signal.aborted;
}
