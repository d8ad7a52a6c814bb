/**
 * `npm test`: jest on real servers of its own. First the parts; then the flows through server and
 * worker and `test/faults`, which take servers away, side by side, each file with servers to itself.
 */
import { join } from 'node:path';

import { numberFrom } from './common/env';
import { explain } from './stack/errors';
import { onInterrupt } from './stack/interrupt';
import { settleAll, temporalPrograms } from './stack/provision/provision';
import { endCommands } from './stack/provision/run';
import { JestRun, type Counts } from './tests/jest';
import { Lane } from './tests/lane';
import { phasesFor, type Phase } from './tests/phases';

/** Sets of servers. Much of what runs on them waits, so they may be more than the cores. */
const LANES = numberFrom(process.env, 'TEST_LANE_COUNT', 3, 1, 4);

// A broker that lives for minutes is not worth the work of Java's second compiler.
process.env['STACK_JAVA_OPTIONS'] ??= '-XX:TieredStopAtLevel=1';

const say = (line: string): void => console.log(line);

class TestRun {
  private readonly lanes = Lane.all(LANES, process.env, say);
  /** The lanes but the first come up behind the first phase. */
  private others: Promise<void> = Promise.resolve();
  private counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  private interrupted = false;
  private jest: JestRun | undefined;

  constructor(private readonly args: readonly string[]) {}

  /** Resolves with the exit code when everything it started has ended. */
  async run(): Promise<number> {
    const stopListening = onInterrupt({
      first: () => this.interrupt('SIGTERM'),
      second: () => this.interrupt('SIGKILL'),
    });
    let succeeded: boolean;
    try {
      for (const lane of this.lanes) await lane.claim();
      succeeded = await this.runPhases();
    } catch (error) {
      console.error(explain(error));
      succeeded = false;
    } finally {
      // Nothing is stopped while it starts.
      await Promise.allSettled([this.others]);
      await settleAll(this.lanes.map((lane) => lane.release()));
      stopListening();
    }
    const { passed, failed, skipped } = this.counts;
    if (passed + failed === 0) say('No test ran.');
    say(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    return succeeded && !this.interrupted && failed === 0 && passed > 0 ? 0 : 1;
  }

  private async runPhases(): Promise<boolean> {
    const phases = await phasesFor(this.args, this.lanes.length);
    const environment = await this.bringUp(phases.find((phase) => phase.hasLanes)?.workers ?? 1);
    let succeeded = true;
    for (const phase of phases) {
      if (phase.hasLanes) await this.others;
      if (this.interrupted) return false;
      say(`\n${phase.name}`);
      const exitCode = await this.runJest(phase, environment);
      succeeded &&= exitCode === 0;
    }
    return succeeded;
  }

  /** Resolves when the first of so many lanes is up, with what all tests need to know. */
  private async bringUp(count: number): Promise<NodeJS.ProcessEnv> {
    const [first, ...others] = this.lanes;
    // By itself: it may have to install what all of them need.
    await first.up();
    const programs = await temporalPrograms(first.layout, say);
    if (!this.interrupted) {
      this.others = settleAll(others.slice(0, count - 1).map((lane) => lane.up()));
      // Whoever waits for them hears of it.
      this.others.catch(() => undefined);
    }
    return {
      NODE_ENV: 'test',
      ...process.env,
      ...first.environment,
      TEMPORAL_CLI: programs.cli,
      TEMPORAL_TEST_SERVER: programs.testServer,
    };
  }

  private async runJest(phase: Phase, environment: NodeJS.ProcessEnv): Promise<number> {
    const results = join(this.lanes[0].layout.dir, `jest-results-${phase.key}.json`);
    const lanes = this.lanes.slice(0, phase.workers).map((lane) => lane.environment);
    const env = phase.hasLanes
      ? { ...environment, TEST_LANES: JSON.stringify(lanes) }
      : environment;
    this.jest = new JestRun(phase.jestArgs, env, results);
    const exitCode = await this.jest.ended();
    this.counts = add(this.counts, this.jest.counts());
    this.jest = undefined;
    return exitCode;
  }

  private interrupt(signal: 'SIGTERM' | 'SIGKILL'): void {
    this.interrupted = true;
    endCommands();
    this.jest?.signal(signal);
  }
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
