/** What the figures were measured on. */
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { arch, cpus, platform, totalmem } from 'node:os';
import { dirname } from 'node:path';
import { readLive } from '../../dev/stack/pidfile';
import type { Stack } from '../../dev/stack/stack';
import { projectRoot } from '../../src/paths';

export interface Machine {
  readonly date: string;
  readonly commit: string;
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly platform: string;
  readonly node: string;
  readonly servers: Record<string, string>;
}

export function describeMachine(stack: Stack): Machine {
  return {
    date: new Date().toISOString(),
    commit: firstLine('git', ['-C', projectRoot(), 'describe', '--always', '--dirty']),
    cores: cpus().length,
    cpu: cpus()[0]?.model ?? 'unknown',
    memoryGiB: Math.round(totalmem() / 1024 ** 3),
    platform: `${platform()} ${arch()}`,
    node: process.version,
    servers: Object.fromEntries(stack.own.map((name) => [name, versionOf(stack, name)])),
  };
}

/** Of a server that is a process here; Docker's and other machines' are not asked. */
function versionOf(stack: Stack, name: string): string {
  const command = readLive(stack.layout.pidfile(name))?.command ?? [];
  if (command[0] === undefined) return 'unknown';
  if (name !== 'kafka') return firstLine(command[0], ['--version']);
  const jars = dirname(command.find((arg) => arg.endsWith('/*')) ?? '.');
  const jar = readdirSync(jars).find((file) => /^kafka_.*\.jar$/.test(file));
  return jar?.replace(/^kafka_[\d.]+-|\.jar$/g, '') ?? 'unknown';
}

function firstLine(program: string, args: readonly string[]): string {
  try {
    const text = execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return (text.split('\n')[0] ?? '').replace(/^\S*\/(?=\S+ )/, '').trim();
  } catch {
    return 'unknown'; // No such program, or none that tells.
  }
}
