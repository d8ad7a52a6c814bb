/** Runs one command of the set-up: no input, a deadline, and its output only if it fails. */
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

import { StackError } from '../errors';

export interface RunOptions {
  readonly timeoutMs: number;
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Given on standard input, which is empty otherwise. */
  readonly input?: string;
  /** What to tell a person when it fails. */
  readonly advice?: string;
}

/** The commands that run now, so that an interrupted start can end them. */
const running = new Set<ChildProcess>();

/** Ends every command that runs now. */
export function endCommands(): void {
  for (const child of running) child.kill('SIGTERM');
}

/** Resolves with what the command printed; rejects with the end of it when it fails. */
export async function run(
  file: string,
  args: readonly string[],
  options: RunOptions,
): Promise<string> {
  const child = spawn(file, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: options.timeoutMs,
    killSignal: 'SIGKILL',
  });
  running.add(child);
  let output = '';
  const collect = (chunk: Buffer): void => {
    output += chunk.toString();
  };
  // A command that ends without reading its input is judged by its exit code.
  child.stdin.on('error', () => undefined);
  child.stdin.end(options.input ?? '');
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) resolve(undefined);
      else resolve(signal ? `stopped after ${options.timeoutMs / 1000} s` : `exit code ${code}`);
    });
  });
  running.delete(child);
  if (failure === undefined) return output;
  const tail = output.trim().split('\n').slice(-12).join('\n');
  throw new StackError(
    [`\`${[file, ...args].join(' ')}\` failed: ${failure}.`, tail, options.advice]
      .filter(Boolean)
      .join('\n'),
  );
}

/** Whether the command succeeds; for probing what a machine has. */
export async function succeeds(file: string, args: readonly string[]): Promise<boolean> {
  try {
    await run(file, args, { timeoutMs: 15_000 });
    return true;
  } catch (error) {
    if (error instanceof StackError) return false;
    throw error;
  }
}

/** Debian keeps servers in sbin, which a plain user does not have on PATH. */
const EXTRA_DIRS = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/local/bin', '/usr/bin', '/bin'];

/** The first executable of these names, on PATH or in the usual folders. */
export function which(...names: readonly string[]): string | undefined {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter).filter(Boolean), ...EXTRA_DIRS];
  for (const name of names) {
    for (const dir of dirs) {
      const file = join(dir, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
      } catch {
        continue; // Not in this folder.
      }
    }
  }
  return undefined;
}
