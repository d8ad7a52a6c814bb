/** Which Node `dev/bootstrap.mjs` runs a command on, and that signals and exit codes pass through it. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { projectRoot } from '../../src/paths';

/** Says what it runs on. */
const COMMAND = `
if (process.argv[2] === 'wait') {
  process.on('SIGTERM', () => process.exit(7));
  setInterval(() => {}, 1000);
}
console.log(process.env.RUNS_ON ?? 'the same', process.argv.slice(2).join(' '));
if (process.argv[2] === 'exit') process.exit(Number(process.argv[3]));
`;
const PINNED = `node_modules/node-${process.platform}-${process.arch}/bin/node`;

/** A tree with nothing to install, a compiler that does nothing, and one command. */
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'im-bootstrap-'));
  mkdirSync(join(root, 'dev'));
  copyFileSync(join(projectRoot(), 'dev', 'bootstrap.mjs'), join(root, 'dev', 'bootstrap.mjs'));
  const optionalDependencies = { [`node-${process.platform}-${process.arch}`]: '24.0.0' };
  write('package.json', JSON.stringify({ optionalDependencies }));
  for (const file of ['package-lock.json', 'tsconfig.json', 'tsconfig.build.json']) {
    write(file, '{}');
  }
  // As npm leaves it, after the lock file was written.
  utimesSync(join(root, 'package-lock.json'), 0, 0);
  write('node_modules/.package-lock.json', '{}');
  write('node_modules/typescript/bin/tsc', '');
  write('dist/dev/token/main.js', COMMAND);
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

function write(file: string, content: string, mode = 0o644): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), content, { mode });
}

/** A Node that tells its name to the command. */
function nodeNamed(name: string, file: string): void {
  write(file, `#!/bin/sh\nRUNS_ON=${name} exec '${process.execPath}' "$@"\n`, 0o755);
}

function environment(env: Record<string, string>): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], ...env };
}

/** On this Node, whatever the tree holds. */
function bootstrap(args: readonly string[], env: Record<string, string> = {}) {
  return spawnSync(process.execPath, [join(root, 'dev', 'bootstrap.mjs'), 'token', ...args], {
    env: environment(env),
    encoding: 'utf8',
  });
}

describe('a command runs', () => {
  test('on the packaged Node', () => {
    nodeNamed('packaged', PINNED);
    expect(bootstrap(['a', 'b'])).toMatchObject({ status: 0, stdout: 'packaged a b\n' });
  });

  test("on the machine's own when BOOTSTRAP_NODE says so", () => {
    nodeNamed('packaged', PINNED);
    const { stdout } = bootstrap([], { BOOTSTRAP_NODE: 'system' });
    expect(stdout).toBe('the same \n');
  });

  test("on the machine's own also when npm has put the packaged one before it", () => {
    // We run on what the tree has for the packaged one.
    write(join(dirname(PINNED), '.keep'), '');
    symlinkSync(process.execPath, join(root, PINNED));
    mkdirSync(join(root, 'node_modules', '.bin'));
    symlinkSync(join(root, PINNED), join(root, 'node_modules', '.bin', 'node'));
    nodeNamed('own', 'machine/node');
    const PATH = [join(root, 'node_modules', '.bin'), join(root, 'machine')].join(':');
    expect(bootstrap([], { BOOTSTRAP_NODE: 'system', PATH }).stdout).toBe('own \n');
  });

  test('on the Node at hand, and says so, when the packaged one is missing or does not run', () => {
    const missing = bootstrap([]);
    expect(missing).toMatchObject({ status: 0, stdout: 'the same \n' });
    expect(missing.stderr).toContain('is missing');
    write(PINNED, '#!/no/such/loader\n', 0o755);
    const broken = bootstrap([]);
    expect(broken).toMatchObject({ status: 0, stdout: 'the same \n' });
    expect(broken.stderr).toContain('does not run here');
  });

  test('on the Node at hand where there is no package for it', () => {
    write('package.json', JSON.stringify({ optionalDependencies: {} }));
    const { status, stdout, stderr } = bootstrap([]);
    expect([status, stdout, stderr]).toEqual([0, 'the same \n', '· compiling\n']);
  });

  test('not at all when BOOTSTRAP_NODE is something else', () => {
    const { status, stdout, stderr } = bootstrap([], { BOOTSTRAP_NODE: '20' });
    expect([status, stdout]).toEqual([1, '']);
    expect(stderr).toContain('BOOTSTRAP_NODE is "20"');
  });
});

test('a command ends as it ends', () => {
  nodeNamed('packaged', PINNED);
  expect([bootstrap(['exit', '0']).status, bootstrap(['exit', '3']).status]).toEqual([0, 3]);
});

test('a signal reaches the command, and its answer comes back', async () => {
  nodeNamed('packaged', PINNED);
  const child = spawn(process.execPath, [join(root, 'dev', 'bootstrap.mjs'), 'token', 'wait'], {
    env: environment({}),
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const exit = once(child, 'exit');
  await once(child.stdout, 'data');
  child.kill('SIGTERM');
  expect(await exit).toEqual([7, null]);
});
