/** The product as processes, to be killed. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { projectRoot } from '../../src/paths';
import { waitFor } from './wait';

/**
 * Above the servers of the tests, below the ports that systems give to outgoing connections: one of
 * those might be taken by anyone before it is listened on.
 */
const FREE_PORTS = { from: 30_000, to: 32_300 };

/** A port that is free now. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FREE_PORTS.from, FREE_PORTS.to);
    const server = createServer();
    const free = new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.once('listening', () => resolve(true));
    });
    server.listen(port, '127.0.0.1');
    if (!(await free)) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

/** `server` or `worker`, built by `npm test`, on ports of its own. */
export class ProductProcess {
  private child: ChildProcess | undefined;

  constructor(
    private readonly name: 'server' | 'worker',
    private readonly httpPort: number,
    private readonly env: Record<string, string>,
    /** Where its log goes; to ours unless given. */
    private readonly logFile?: string,
    /** Options of Node's own, such as those of its profiler. */
    private readonly nodeOptions: readonly string[] = [],
  ) {}

  /** Resolves when `/ready` says so. */
  async start(): Promise<void> {
    const output = this.logFile === undefined ? 'inherit' : openSync(this.logFile, 'a');
    const program = join(projectRoot(), 'dist', 'src', `${this.name}.js`);
    this.child = spawn(process.execPath, [...this.nodeOptions, program], {
      env: { ...process.env, LOG_LEVEL: 'error', ...this.env },
      stdio: ['ignore', output, output],
    });
    if (typeof output === 'number') closeSync(output);
    await waitFor(`the ${this.name} to be ready`, 60_000, () => this.ready());
  }

  /** Of the running process. */
  get pid(): number {
    return this.child?.pid ?? 0;
  }

  /** Ends it and resolves with how it ended. */
  async end(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const child = this.child;
    if (!child || child.exitCode !== null) return child?.exitCode ?? null;
    const exited = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    return (await exited)[0];
  }

  private async ready(): Promise<boolean> {
    if (this.child?.exitCode !== null) throw new Error(`the ${this.name} ended while starting`);
    try {
      const response = await fetch(`http://127.0.0.1:${this.httpPort}/ready`);
      return response.status === 200;
    } catch {
      // Not listening yet; waitFor has the deadline.
      return false;
    }
  }
}
