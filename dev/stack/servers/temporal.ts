/** The Temporal dev server with its UI, in a SQLite file that survives restarts. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { TemporalPrograms } from '../provision/temporal';
import type { Command } from '../process';
import { serverEnvironment, type NativeServer, type ServerContext } from './server';

export function temporalServer({ layout, ports }: ServerContext): NativeServer {
  const data = layout.data('temporal');
  const programs = new TemporalPrograms(layout);

  return {
    name: 'temporal',
    ports: [
      { port: ports.temporal, what: 'Temporal' },
      { port: ports.temporalUi, what: 'Temporal UI' },
    ],
    stopGraceMs: 15_000,
    missingPackages: () => programs.missingPackages(),
    fetch: (report) => programs.fetchCli(report),

    prepare() {
      mkdirSync(data, { recursive: true });
      return Promise.resolve();
    },

    async command(): Promise<Command> {
      return {
        file: await programs.cli(),
        args: [
          ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${ports.temporal}`],
          ...['--ui-ip', '127.0.0.1', '--ui-port', `${ports.temporalUi}`],
          ...['--db-filename', join(data, 'temporal.db')],
          // Three times the rate of the default journal, and still safe against a crash of ours.
          ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal'],
          ...['--log-level', 'warn'],
        ],
        cwd: layout.dir,
        env: serverEnvironment(),
      };
    },
  };
}
