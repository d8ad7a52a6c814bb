/** Starts and stops one background process that outlives its starter, by its pidfile and log. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, renameSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { StackError } from './errors';
import type { Layout } from './layout';
import {
  identityOf,
  isAlive,
  readLive,
  readRecord,
  removeRecord,
  writeRecord,
  type ProcessRecord,
} from './pidfile';

export interface Command {
  readonly file: string;
  readonly args: readonly string[];
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A log this large is put aside at the next start; one older copy is kept. */
const LOG_ROTATE_BYTES = 20 * 1024 * 1024;
const POLL_MS = 50;
/** SIGKILL is immediate unless the kernel is stuck in I/O. */
const KILL_DEADLINE_MS = 10_000;

export class BackgroundProcess {
  constructor(
    readonly name: string,
    private readonly layout: Layout,
  ) {}

  running(): ProcessRecord | undefined {
    return readLive(this.layout.pidfile(this.name));
  }

  /** Whether it has ended without having been stopped. */
  crashed(): boolean {
    const record = readRecord(this.layout.pidfile(this.name));
    return record !== undefined && !record.stopping && !isAlive(record);
  }

  /** Starts it in a session of its own, so that the terminal's Ctrl-C does not reach it. */
  async launch(command: Command): Promise<ProcessRecord> {
    const log = this.openLog();
    try {
      const child = spawn(command.file, command.args, {
        cwd: command.cwd,
        env: command.env,
        detached: true,
        stdio: ['ignore', log, log],
      });
      await new Promise<void>((resolve, reject) => {
        child.once('spawn', resolve);
        child.once('error', reject);
      });
      child.unref();
      const pid = child.pid;
      const identity = pid === undefined ? undefined : identityOf(pid);
      if (pid === undefined || identity === undefined) {
        throw new StackError(`${this.name} ended at once.\n${this.logTail()}`);
      }
      const record = { pid, identity, command: [command.file, ...command.args] };
      writeRecord(this.layout.pidfile(this.name), record);
      return record;
    } finally {
      closeSync(log);
    }
  }

  /** Ends it and whatever it started, and returns when it is gone. */
  async stop(signal: 'SIGTERM' | 'SIGKILL', graceMs: number): Promise<void> {
    const record = this.running();
    if (record) {
      writeRecord(this.layout.pidfile(this.name), { ...record, stopping: true });
      signalGroup(record, signal);
      if (!(await gone(record, graceMs))) {
        signalGroup(record, 'SIGKILL');
        if (!(await gone(record, KILL_DEADLINE_MS))) {
          throw new StackError(`${this.name} (pid ${record.pid}) does not end, even on SIGKILL.`);
        }
      }
    }
    removeRecord(this.layout.pidfile(this.name));
  }

  /** The last lines of its log, for a message about a failure. */
  logTail(lines = 15): string {
    const file = this.layout.log(this.name);
    if (!existsSync(file)) return '';
    const tail = readFileSync(file, 'utf8').trimEnd().split('\n').slice(-lines);
    return `Last lines of ${file}:\n${tail.map((line) => `  ${line}`).join('\n')}`;
  }

  private openLog(): number {
    const file = this.layout.log(this.name);
    if (existsSync(file) && statSync(file).size > LOG_ROTATE_BYTES) renameSync(file, `${file}.1`);
    return openSync(file, 'a');
  }
}

function signalGroup(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(-record.pid, signal);
  } catch (error) {
    // It ended between the look and the signal.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

async function gone(record: ProcessRecord, withinMs: number): Promise<boolean> {
  const deadline = Date.now() + withinMs;
  while (isAlive(record)) {
    if (Date.now() >= deadline) return false;
    await sleep(POLL_MS);
  }
  return true;
}
