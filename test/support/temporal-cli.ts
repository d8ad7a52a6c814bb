/** Temporal's CLI as people run it, and the commands that our pages give them. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../../src/config';
import { projectRoot } from '../../src/paths';

const run = promisify(execFile);

/** The commands of a page, by the comment above each: of the block under `<!-- {marker} commands… -->`. */
export function commandsIn(page: string, marker: string): Map<string, string> {
  const text = readFileSync(join(projectRoot(), page), 'utf8');
  const block = new RegExp(`<!-- ${marker} commands.*?-->\\n\`\`\`sh\\n(.*?)\`\`\``, 's').exec(
    text,
  );
  const pairs = [...(block?.[1] ?? '').matchAll(/^# (.*)\n(.*)$/gm)];
  return new Map(pairs.map(([, comment, command]) => [comment as string, command as string]));
}

export class TemporalCli {
  constructor(
    private readonly config: Pick<Config, 'TEMPORAL_ADDRESS' | 'TEMPORAL_NAMESPACE'>,
    private readonly commands: ReadonlyMap<string, string> = new Map(),
  ) {}

  /** Runs a command of the page in a shell, with what it takes from its environment. */
  async operate(comment: string, env: Record<string, string> = {}): Promise<string> {
    const command = this.commands.get(comment);
    if (!command) throw new Error(`the page has no command "${comment}"`);
    return this.shell(command, env);
  }

  /** Runs any command line; resolves to what it prints. */
  async shell(command: string, env: Record<string, string> = {}): Promise<string> {
    const cli = process.env['TEMPORAL_CLI'] ?? 'temporal';
    const { stdout } = await run('sh', ['-c', command], {
      env: {
        ...process.env,
        PATH: `${dirname(cli)}:${process.env['PATH'] ?? ''}`,
        TEMPORAL_ADDRESS: this.config.TEMPORAL_ADDRESS,
        TEMPORAL_NAMESPACE: this.config.TEMPORAL_NAMESPACE,
        ...env,
      },
      timeout: 30_000,
    });
    return stdout;
  }
}
