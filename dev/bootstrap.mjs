/**
 * From a fresh clone to a running command, with nothing but Node: checks it, installs the packages
 * if the lock file asks for it, compiles what changed, then runs the compiled command. One of the
 * packages is Node itself: everything after the installation runs on it.
 * Plain JavaScript, built-ins only: nothing else is there yet.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { clearInterval, setInterval } from 'node:timers';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const NODE_MIN = [20, 9];
const COMMANDS = {
  start: 'dist/dev/start.js',
  stack: 'dist/dev/stack/cli.js',
  demo: 'dist/dev/demo/main.js',
  test: 'dist/dev/run-tests.js',
  keys: 'dist/src/keys.js',
  'dead-letters': 'dist/src/dead-letters.js',
  audit: 'dist/src/audit.js',
  token: 'dist/dev/token/main.js',
  bench: 'dist/bench/run.js',
};
/** The package with the Node of the lock file; of those for other platforms npm installs none. */
const NODE_PACKAGE = `node-${process.platform}-${process.arch}`;
const PINNED_NODE = join(ROOT, 'node_modules', NODE_PACKAGE, 'bin', 'node');
/** How often to look whether whoever started us is still there. */
const PARENT_CHECK_MS = 1_000;

const [command = '', ...args] = process.argv.slice(2);
if (!Object.hasOwn(COMMANDS, command)) {
  fail(`Usage: node dev/bootstrap.mjs ${Object.keys(COMMANDS).join('|')} [arguments]`);
}
checkNode();
installPackages();
const node = chooseNode();
compile();
bundleWorkflows();
runCommand(join(ROOT, COMMANDS[command]), args);

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > NODE_MIN[0] || (major === NODE_MIN[0] && minor >= NODE_MIN[1])) return;
  fail(`Node ${NODE_MIN.join('.')} or later is needed; this is ${process.versions.node}.`);
}

/**
 * The Node of the lock file, whichever we run on ourselves: npm may have linked it into the PATH of
 * its scripts, or not. The machine's own where there is no such package, or BOOTSTRAP_NODE asks for it.
 */
function chooseNode() {
  const wish = process.env.BOOTSTRAP_NODE || 'pinned';
  if (wish === 'system') return machineNode();
  if (wish !== 'pinned') fail(`BOOTSTRAP_NODE is "${wish}"; it can be "pinned" or "system".`);
  const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  if (!Object.hasOwn(optionalDependencies, NODE_PACKAGE)) return process.execPath;
  // npm ends well without it when the download fails; and it needs glibc, which not every Linux has.
  const { status } = spawnSync(PINNED_NODE, ['--version'], { stdio: 'ignore' });
  if (status === 0) return PINNED_NODE;
  const wrong = existsSync(PINNED_NODE) ? 'does not run here' : 'is missing, `npm ci` installs it';
  say(`${NODE_PACKAGE} ${wrong}; going on with Node ${process.versions.node}`);
  return process.execPath;
}

/** The Node we run on, or, when npm has put the packaged one before it, the next on the PATH. */
function machineNode() {
  if (!isPinned(process.execPath)) return process.execPath;
  const candidates = searchPath().map((dir) => join(dir, 'node'));
  const found = candidates.find((file) => existsSync(file) && !isPinned(file));
  return found ?? fail('BOOTSTRAP_NODE is "system", and there is no other Node on the PATH.');
}

function isPinned(file) {
  return existsSync(PINNED_NODE) && realpathSync(file) === realpathSync(PINNED_NODE);
}

function searchPath() {
  return (process.env.PATH ?? '').split(delimiter).filter(Boolean);
}

/** `npm ci`, when there are no packages or the lock file is another than they came from. */
function installPackages() {
  const stamp = join(ROOT, 'node_modules', '.im-lock-sha256');
  const lock = digest([join(ROOT, 'package-lock.json')]);
  if (readStamp(stamp) === lock) return;
  if (readStamp(stamp) === undefined && installedByHand()) {
    writeFileSync(stamp, lock);
    return;
  }
  say('installing the packages (npm ci)');
  // npm begins by removing node_modules: it must not itself run on the Node in there.
  const PATH = searchPath().filter((dir) => !dir.startsWith(join(ROOT, 'node_modules')));
  step('npm', ['ci', '--no-audit', '--no-fund'], 'Is the npm registry within reach?', {
    env: { ...process.env, PATH: PATH.join(delimiter) },
  });
  writeFileSync(stamp, lock);
}

/** Whether someone ran `npm ci` after the lock file was last written: npm leaves a file of its own. */
function installedByHand() {
  const left = join(ROOT, 'node_modules', '.package-lock.json');
  return (
    existsSync(left) && statSync(left).mtimeMs > statSync(join(ROOT, 'package-lock.json')).mtimeMs
  );
}

/** Compiles when a source is newer than the last compilation; what did not change is not redone. */
function compile() {
  const stamp = join(ROOT, 'dist', '.compiled');
  const inputs = [...files('src'), ...files('dev'), ...files('bench')].filter(isSource);
  const settings = ['tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  const sources = [...inputs, ...settings.map((name) => join(ROOT, name))];
  const list = digest(sources);
  if (readStamp(stamp) === list) return;
  say('compiling');
  const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  // Its own build info: that of a type check without output would say that nothing is left to do.
  const options = ['-p', 'tsconfig.build.json', '--tsBuildInfoFile', 'dist/.build.tsbuildinfo'];
  step(node, [tsc, ...options], 'Mend the errors above, then start again.');
  writeFileSync(stamp, list);
}

/** Temporal's workflow bundle, made when the workflows are others than it was made from. */
function bundleWorkflows() {
  const bundler = join(ROOT, 'dist', 'src', 'bundle-workflows.js');
  if (!existsSync(bundler)) return;
  const stamp = join(ROOT, 'dist', '.bundled');
  const sources = [
    ...files('src/workflows'),
    ...files('src/domain'),
    join(ROOT, 'src', 'bundle-workflows.ts'),
    join(ROOT, 'package-lock.json'),
  ];
  const current = digest(sources);
  if (readStamp(stamp) === current && existsSync(join(ROOT, 'dist', 'workflow-bundle.js'))) return;
  say('bundling the workflows');
  step(node, [bundler], 'The workflow code must bundle: see the error above.');
  writeFileSync(stamp, current);
}

/** Runs the command as a child, hands signals on, ends as it ends. */
function runCommand(file, commandArgs) {
  if (!existsSync(file)) fail(`${file} is not there: this part is not built yet.`);
  const child = spawn(node, ['--enable-source-maps', file, ...commandArgs], {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...process.env, BOOTSTRAP_PID: String(process.pid) },
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
    process.on(signal, () => child.kill(signal));
  }
  watchParent(child);
  child.once('error', (error) => fail(error.message));
  child.once('exit', (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
}

/** npm cannot tell us that it was killed. Then the command is ended: it would run on unseen. */
function watchParent(child) {
  if (!process.env.npm_lifecycle_event) return;
  const before = ancestors();
  const timer = setInterval(() => {
    if (ancestors() === before) return;
    clearInterval(timer);
    child.kill('SIGTERM');
  }, PARENT_CHECK_MS);
  timer.unref();
}

/** Our parent and, where it can be read, its parent: npm may run us through a shell. */
function ancestors() {
  const parent = process.ppid;
  try {
    const text = readFileSync(`/proc/${parent}/stat`, 'utf8');
    const [, grandparent] = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return `${parent} ${grandparent}`;
  } catch {
    return String(parent); // No /proc here, or the parent has just ended.
  }
}

function step(file, stepArgs, advice, options = {}) {
  const { status, error } = spawnSync(file, stepArgs, {
    cwd: ROOT,
    stdio: ['ignore', 'inherit', 'inherit'],
    ...options,
  });
  if (status === 0) return;
  fail(
    `\`${[file, ...stepArgs].join(' ')}\` failed${error ? `: ${error.message}` : ''}. ${advice}`,
  );
}

function files(folder) {
  const dir = join(ROOT, folder);
  if (!existsSync(dir)) return [];
  return readdirSync(dir, { recursive: true })
    .map((name) => join(dir, name))
    .filter((file) => statSync(file).isFile());
}

function isSource(file) {
  return file.endsWith('.ts') || file.endsWith('.json');
}

/** Contents, not times: a checkout or a copy of the folder changes times and nothing else. */
function digest(paths) {
  const hash = createHash('sha256');
  for (const path of paths.toSorted())
    hash.update(`${relative(ROOT, path)}\0`).update(readFileSync(path));
  return hash.digest('hex');
}

function readStamp(file) {
  mkdirSync(dirname(file), { recursive: true });
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}

function say(line) {
  // Standard error, so that what a command prints can be piped.
  process.stderr.write(`· ${line}\n`);
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}
