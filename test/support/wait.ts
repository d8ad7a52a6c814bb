/** Waiting in tests: for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises';

/** How often is looked, ms: ever less, since what is waited for needs the machine itself. */
const LOOK_FIRST_MS = 10;
const LOOK_LAST_MS = 100;
const LOOKS = 20;

/** Resolves when `condition` holds; rejects, naming `what`, after `timeoutMs`. */
export async function waitFor(
  what: string,
  timeoutMs: number,
  condition: () => Promise<boolean>,
): Promise<void> {
  const began = Date.now();
  while (!(await condition())) {
    const waited = Date.now() - began;
    if (waited > timeoutMs) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(Math.min(Math.max(waited / LOOKS, LOOK_FIRST_MS), LOOK_LAST_MS));
  }
}
