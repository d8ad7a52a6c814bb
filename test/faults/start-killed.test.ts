/**
 * `npm start` as a person runs it, on servers of its own: killed, begun again, and ended. Long: it
 * boots a second set of servers.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

import { portsFor, withoutStack } from '../../dev/stack/environment';
import { StackError } from '../../dev/stack/errors';
import { readLive, type ProcessRecord } from '../../dev/stack/pidfile';
import { requireFree } from '../../dev/stack/ports';
import { Stack } from '../../dev/stack/stack';
import { projectRoot } from '../../src/paths';

const INSTANCE = 'start-killed';
const READY = 'IM Service is ready';
const START_DEADLINE_MS = 120_000;

let offset: number;
let stack: Stack;

class StartRun {
  output = '';
  readonly exit: Promise<number | null>;
  private readonly child: ChildProcess;

  constructor() {
    // The addresses that this test inherits are those of the shared test stack.
    const env = { ...withoutStack(process.env), STACK: 'native', STACK_INSTANCE: INSTANCE };
    const program = join(projectRoot(), 'dist', 'dev', 'start.js');
    this.child = spawn(process.execPath, [program], {
      env: { ...env, PORT_OFFSET: String(offset), NODE_ENV: 'development' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.child.stderr?.on('data', (chunk: Buffer) => (this.output += chunk.toString()));
    this.exit = new Promise((resolve) => this.child.once('exit', (code) => resolve(code)));
  }

  async ready(): Promise<void> {
    const deadline = Date.now() + START_DEADLINE_MS;
    while (!this.output.includes(READY)) {
      if (Date.now() > deadline || this.child.exitCode !== null) throw new Error(this.output);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async end(signal: NodeJS.Signals): Promise<number | null> {
    this.child.kill(signal);
    return this.exit;
  }
}

function pidfiles(): Map<string, ProcessRecord> {
  const dir = stack.layout.run;
  const live = readdirSync(dir)
    .filter((file) => file.endsWith('.json'))
    .map((file) => [file, readLive(join(dir, file))] as const);
  return new Map(live.filter((entry): entry is [string, ProcessRecord] => entry[1] !== undefined));
}

beforeAll(async () => {
  offset = await freeOffset();
  stack = new Stack({ instance: INSTANCE, offset, given: {}, report: () => undefined });
});

afterAll(async () => {
  await stack.down();
  rmSync(stack.layout.dir, { recursive: true, force: true });
}, 60_000);

test('what a killed start leaves is cleaned up by the next, whose end leaves nothing', async () => {
  const first = new StartRun();
  await first.ready();
  const before = pidfiles();
  expect(before.size).toBeGreaterThanOrEqual(6);
  await first.end('SIGKILL');
  expect(pidfiles().size).toBe(before.size - 1);

  const second = new StartRun();
  await second.ready();
  expect(second.output).toContain('cleaning up after a start that was killed');
  const after = pidfiles();
  // The servers run on: they need no cleaning. Whatever is ours was started anew.
  expect(after.get('mysql.json')?.pid).toBe(before.get('mysql.json')?.pid);
  for (const app of ['server.json', 'worker.json'].filter((file) => before.has(file))) {
    expect(after.get(app)?.pid).not.toBe(before.get(app)?.pid);
  }

  expect(await second.end('SIGTERM')).toBe(0);
  expect([...pidfiles().keys()]).toEqual([]);
  expect(holdersOf(stack.layout.dir)).toEqual([]);
}, 240_000);

/** Below the range that outgoing connections take their ports from, beside the test stack's own. */
async function freeOffset(): Promise<number> {
  for (let candidate = 21_500; candidate < 23_500; candidate += 97) {
    const uses = Object.values(portsFor(candidate)).map((port) => ({ port, what: 'a test' }));
    try {
      await requireFree(uses);
      return candidate;
    } catch (error) {
      if (!(error instanceof StackError)) throw error;
    }
  }
  throw new Error('no range of ports is free');
}

/** Processes that have the instance's folder on their command line, whatever any pidfile says. */
function holdersOf(folder: string): string[] {
  if (!existsSync('/proc/self/cmdline')) return [];
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map((pid) => commandLine(pid))
    .filter((line) => line.includes(folder));
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return ''; // Ended meanwhile.
  }
}
