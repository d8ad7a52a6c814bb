/**
 * `npm test`: jest on real servers of its own. First the parts, two files at a time; then the flows
 * through server and worker; then `test/faults`, which take servers away.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { explain } from './stack/errors';
import { onInterrupt } from './stack/interrupt';
import { temporalPrograms } from './stack/provision/provision';
import { endCommands } from './stack/provision/run';
import { Session } from './stack/session';
import { offsetFrom, Stack } from './stack/stack';

/** Far from the ports of `npm start`, so that both can run at once. */
const TEST_OFFSET = 20_000;
/** Far more than a phase takes; CI as a whole has 90 minutes. */
const PHASE_DEADLINE_MS = 40 * 60_000;
/** How long jest may take to end once its results are written. Longer: a test left something open. */
const EXIT_DEADLINE_MS = 20_000;
const LOOK_EVERY_MS = 500;

const say = (line: string): void => console.log(line);

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Phase {
  readonly name: string;
  readonly args: readonly string[];
}

class TestRun {
  private readonly given: NodeJS.ProcessEnv;
  private readonly stack: Stack;
  private counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  private interrupted = false;
  private jest: ChildProcess | undefined;

  constructor(private readonly args: readonly string[]) {
    const instance = process.env['STACK_INSTANCE'] || 'test';
    const offset = offsetFrom(process.env, TEST_OFFSET);
    this.given = { ...process.env, STACK_INSTANCE: instance, PORT_OFFSET: String(offset) };
    this.stack = new Stack({ instance, offset, given: this.given, report: say });
  }

  /** Resolves with the exit code when everything it started has ended. */
  async run(): Promise<number> {
    const session = await Session.begin(this.stack.layout, 'npm test');
    const stopListening = onInterrupt({
      first: () => this.interrupt('SIGTERM'),
      second: () => this.interrupt('SIGKILL'),
    });
    let succeeded: boolean;
    try {
      succeeded = await this.runPhases(session);
    } catch (error) {
      console.error(explain(error));
      succeeded = false;
    } finally {
      session.stopping();
      const kept = session.kept();
      await this.stack.down(this.stack.own.filter((name) => !kept.includes(name)));
      session.end();
      stopListening();
    }
    const { passed, failed, skipped } = this.counts;
    if (passed + failed === 0) say('No test ran.');
    say(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    return succeeded && !this.interrupted && failed === 0 && passed > 0 ? 0 : 1;
  }

  private async runPhases(session: Session): Promise<boolean> {
    await this.bringUp(session);
    const environment = await this.environment();
    let succeeded = true;
    for (const phase of phasesFor(this.args)) {
      if (this.interrupted) return false;
      say(`\n${phase.name}`);
      const exitCode = await this.runJest(phase, environment);
      succeeded &&= exitCode === 0;
    }
    return succeeded;
  }

  /** Fresh data each time, unless someone has the servers up already: then theirs, and they stay. */
  private async bringUp(session: Session): Promise<void> {
    if (session.inherited) {
      const kept = session.inherited;
      await this.stack.down(this.stack.own.filter((name) => !kept.includes(name)));
    }
    const before = await this.stack.running();
    session.keep(before);
    for (const name of this.stack.own) if (!before.includes(name)) await this.stack.wipe(name);
    await this.stack.up();
  }

  private async environment(): Promise<NodeJS.ProcessEnv> {
    const programs = await temporalPrograms(this.stack.layout, say);
    return {
      NODE_ENV: 'test',
      ...this.given,
      ...this.stack.environment,
      TEMPORAL_CLI: programs.cli,
      TEMPORAL_TEST_SERVER: programs.testServer,
    };
  }

  private async runJest(phase: Phase, env: NodeJS.ProcessEnv): Promise<number> {
    const { root, dir } = this.stack.layout;
    const results = join(dir, 'jest-results.json');
    rmSync(results, { force: true });
    mkdirSync(dir, { recursive: true });
    const jest = join(root, 'node_modules', 'jest', 'bin', 'jest.js');
    const options = ['--json', `--outputFile=${results}`, '--passWithNoTests'];
    this.jest = spawn(process.execPath, [jest, ...options, ...phase.args], {
      cwd: root,
      env,
      // What --json prints on standard output stands in the file too; the report is on the other.
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    const exitCode = await exitOf(this.jest, results);
    this.jest = undefined;
    this.counts = add(this.counts, countsFrom(results));
    return exitCode;
  }

  private interrupt(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.interrupted = true;
    endCommands();
    this.jest?.kill(signal);
  }
}

function phasesFor(args: readonly string[]): Phase[] {
  const withArgs = (phase: Phase): Phase => ({ ...phase, args: [...phase.args, ...given] });
  const given = args.filter((arg) => arg !== '--only-faults' && arg !== '--skip-faults');
  const parts = {
    name: 'Parts',
    args: [
      '--testPathIgnorePatterns',
      '/test/faults/',
      '/test/flows/',
      '/node_modules/',
      '--maxWorkers=2',
    ],
  };
  // One file at a time: each has a worker, and workers side by side would share each other's users.
  const flows = {
    name: 'Flows',
    args: ['--testMatch', '**/test/flows/**/*.test.ts', '--runInBand'],
  };
  const faults = {
    name: 'Tests that take servers away',
    args: ['--testMatch', '**/test/faults/**/*.test.ts', '--runInBand'],
  };
  if (args.includes('--only-faults')) return [withArgs(faults)];
  const phases = args.includes('--skip-faults') ? [parts, flows] : [parts, flows, faults];
  return phases.map(withArgs);
}

/** Jest's exit code; one that does not end by itself is ended, and has failed. */
async function exitOf(jest: ChildProcess, results: string): Promise<number> {
  const deadline = Date.now() + PHASE_DEADLINE_MS;
  let reportedAt: number | undefined;
  const timer = setInterval(() => {
    if (existsSync(results)) reportedAt ??= Date.now();
    const lingers = reportedAt !== undefined && Date.now() - reportedAt > EXIT_DEADLINE_MS;
    if (!lingers && Date.now() < deadline) return;
    say(lingers ? 'jest does not end: a test left something open.' : 'The tests take too long.');
    clearInterval(timer);
    jest.kill('SIGKILL');
  }, LOOK_EVERY_MS);
  try {
    return await new Promise<number>((resolve, reject) => {
      jest.once('error', reject);
      jest.once('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    clearInterval(timer);
  }
}

interface JestResults {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numRuntimeErrorTestSuites: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
}

/** From jest's own results; a file that could not even be loaded counts as one failure. */
function countsFrom(file: string): Counts {
  if (!existsSync(file)) return { passed: 0, failed: 0, skipped: 0 };
  const results = JSON.parse(readFileSync(file, 'utf8')) as JestResults;
  return {
    passed: results.numPassedTests,
    failed: results.numFailedTests + results.numRuntimeErrorTestSuites,
    skipped: results.numPendingTests + results.numTodoTests,
  };
}

function add(a: Counts, b: Counts): Counts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

new TestRun(process.argv.slice(2)).run().then(
  (code) => process.exit(code),
  (error: unknown) => {
    console.error(explain(error));
    process.exit(1);
  },
);
