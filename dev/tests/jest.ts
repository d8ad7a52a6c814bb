/** One run of jest, in a process group of its own, so that whatever its tests began can be ended with it. */
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { projectRoot } from '../../src/paths';

/** Far more than a phase takes; CI as a whole has 90 minutes. */
const RUN_DEADLINE_MS = 40 * 60_000;
/** How long jest may take to end once its results are written. Longer: a test left something open. */
const EXIT_DEADLINE_MS = 20_000;
const LIST_DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 500;

const JEST = join(projectRoot(), 'node_modules', 'jest', 'bin', 'jest.js');

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The test files that jest would run with these arguments. */
export async function testFiles(args: readonly string[]): Promise<string[]> {
  const command = [JEST, '--listTests', '--json', ...args];
  const { stdout } = await promisify(execFile)(process.execPath, command, {
    cwd: projectRoot(),
    timeout: LIST_DEADLINE_MS,
  });
  return JSON.parse(stdout) as string[];
}

export class JestRun {
  private readonly child: ChildProcess;

  /** `results`: the file that jest's own results are written to. */
  constructor(
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    private readonly results: string,
  ) {
    rmSync(results, { force: true });
    const options = ['--json', `--outputFile=${results}`];
    this.child = spawn(process.execPath, [JEST, ...options, ...args], {
      cwd: projectRoot(),
      env,
      detached: true,
      // What --json prints on standard output stands in the file too; the report is on the other.
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  }

  /** Jest's exit code; one that does not end by itself is ended, and has failed. */
  async ended(): Promise<number> {
    const deadline = Date.now() + RUN_DEADLINE_MS;
    let reportedAt: number | undefined;
    const timer = setInterval(() => {
      if (existsSync(this.results)) reportedAt ??= Date.now();
      const lingers = reportedAt !== undefined && Date.now() - reportedAt > EXIT_DEADLINE_MS;
      if (!lingers && Date.now() < deadline) return;
      console.log(
        lingers ? 'jest does not end: a test left something open.' : 'The tests take too long.',
      );
      clearInterval(timer);
      this.signal('SIGKILL');
    }, LOOK_EVERY_MS);
    try {
      return await new Promise<number>((resolve, reject) => {
        this.child.once('error', reject);
        this.child.once('exit', (code) => resolve(code ?? 1));
      });
    } finally {
      clearInterval(timer);
      // Processes under test that were in the middle of something.
      this.signal('SIGKILL');
    }
  }

  /** To jest and to whatever its tests have begun. */
  signal(signal: 'SIGTERM' | 'SIGKILL'): void {
    const { pid } = this.child;
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch (error) {
      // Nobody is left.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }

  /** From jest's own results; a file that could not even be loaded counts as one failure. */
  counts(): Counts {
    if (!existsSync(this.results)) return { passed: 0, failed: 0, skipped: 0 };
    const results = JSON.parse(readFileSync(this.results, 'utf8')) as JestResults;
    return {
      passed: results.numPassedTests,
      failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
      skipped: results.numPendingTests + results.numTodoTests,
    };
  }
}

interface JestResults {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}
