/** The Temporal CLI, as operators use it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { loadConfig } from '../../src/config';

const run = promisify(execFile);

/** Runs one command and resolves to what it printed. Needs TEMPORAL_CLI, the path of the program. */
export async function temporalCli(...args: string[]): Promise<string> {
  const program = process.env['TEMPORAL_CLI'] ?? 'temporal';
  const address = ['--address', loadConfig(process.env).TEMPORAL_ADDRESS];
  const { stdout } = await run(program, [...args, ...address], { timeout: 30_000 });
  return stdout;
}
