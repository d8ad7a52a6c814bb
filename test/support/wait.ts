/** Waiting in tests: for a condition, never for a time. */
import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves when `condition` holds; rejects, naming `what`, after `timeoutMs`. */
export async function waitFor(
  what: string,
  timeoutMs: number,
  condition: () => Promise<boolean>,
): Promise<void> {
  const end = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(10);
  }
}
