/**
 * Debian packages. What is installed carries no service; a package that does carry one is only
 * unpacked into `.stack/pkg`, so nothing is left running or enabled on the machine.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { StackError } from '../errors';
import { buildOnce } from './once';
import { run, succeeds, which } from './run';

const APT_ENV = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
const INSTALL_TIMEOUT_MS = 10 * 60_000;
/** Another apt may be at work (unattended upgrades): wait for it, but not for ever. */
const APT_OPTIONS = ['-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2', '-q'];

let updated: Promise<void> | undefined;

/** Installs packages, as root or through a sudo that asks for no password. */
export async function installPackages(packages: readonly string[]): Promise<void> {
  requireApt(packages);
  const install = ['install', '-y', '--no-install-recommends', ...packages];
  const elevated = await elevation(
    `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages.join(' ')}`,
  );
  const apt = async (args: readonly string[]): Promise<string> => {
    const [file = '', ...rest] = [...elevated, 'apt-get', ...APT_OPTIONS, ...args];
    return run(file, rest, { timeoutMs: INSTALL_TIMEOUT_MS, env: APT_ENV });
  };
  try {
    await apt(install);
  } catch (error) {
    if (!(error instanceof StackError)) throw error;
    // A fresh machine has no package lists, an old one stale ones.
    updated ??= apt(['update']).then(() => undefined);
    await updated;
    await apt(install);
  }
}

/** Downloads one package and unpacks it into `dir`; needs no root and runs none of its scripts. */
export async function unpackPackage(name: string, dir: string): Promise<void> {
  requireApt([name]);
  await buildOnce(dir, async (draft) => {
    const options = { timeoutMs: INSTALL_TIMEOUT_MS, cwd: draft, env: APT_ENV };
    const download = (): Promise<string> =>
      run('apt-get', [...APT_OPTIONS, 'download', name], options);
    try {
      await download();
    } catch (error) {
      if (!(error instanceof StackError)) throw error;
      updated ??= updateLists();
      await updated;
      await download();
    }
    const deb = readdirSync(draft).find((file) => file.endsWith('.deb'));
    if (!deb) throw new StackError(`apt-get download ${name} left no package.`);
    await run('dpkg-deb', ['-x', join(draft, deb), draft], options);
  });
}

async function updateLists(): Promise<void> {
  const [file = '', ...rest] = [
    ...(await elevation('sudo apt-get update')),
    'apt-get',
    ...APT_OPTIONS,
    'update',
  ];
  await run(file, rest, { timeoutMs: INSTALL_TIMEOUT_MS, env: APT_ENV });
}

function requireApt(packages: readonly string[]): void {
  if (which('apt-get')) return;
  throw new StackError(
    `This needs ${packages.join(', ')} (Debian's names) and there is no apt-get here: install them by your own package manager, start a Docker daemon, or set STACK=external.`,
  );
}

/** The prefix that makes a command root's; `byHand` is for who cannot. Never asks for a password. */
async function elevation(byHand: string): Promise<string[]> {
  if (process.getuid?.() === 0) return [];
  if (which('sudo') && (await succeeds('sudo', ['-n', 'true']))) return ['sudo', '-n', '-E'];
  throw new StackError(
    `Root is needed once, for packages. Run this, then start again:\n  ${byHand}`,
  );
}
