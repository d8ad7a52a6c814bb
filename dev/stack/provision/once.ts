/** Work that is done once and kept: built aside, then renamed, so that half of it never counts. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { StackError } from '../errors';
import { identityOf, readLive, removeRecord, writeRecord } from '../pidfile';

/** Fills `dir` by `build` unless it is there already. */
export async function buildOnce(
  dir: string,
  build: (draft: string) => Promise<void>,
): Promise<void> {
  if (existsSync(dir)) return;
  const draft = `${dir}.draft`;
  rmSync(draft, { recursive: true, force: true });
  mkdirSync(draft, { recursive: true });
  await build(draft);
  renameSync(draft, dir);
}

/** Installing may take minutes on a slow line; the other process is then worth waiting for. */
const LOCK_DEADLINE_MS = 10 * 60_000;

/** Runs `work` while no other process of this project does, by a lock that dies with its holder. */
export async function exclusively<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + LOCK_DEADLINE_MS;
  for (;;) {
    const holder = readLive(lockFile);
    if (!holder || holder.pid === process.pid) break;
    if (Date.now() > deadline) {
      throw new StackError(`Process ${holder.pid} has held ${lockFile} for 10 minutes; end it.`);
    }
    await sleep(200);
  }
  const identity = identityOf(process.pid) ?? '';
  writeRecord(lockFile, { pid: process.pid, identity, command: [] });
  try {
    return await work();
  } finally {
    removeRecord(lockFile);
  }
}
