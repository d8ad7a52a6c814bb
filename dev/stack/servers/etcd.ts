/** etcd, one member. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { StackError } from '../errors';
import { unpackPackage } from '../provision/debian';
import { which } from '../provision/run';
import type { Command } from '../process';
import { serverEnvironment, type NativeServer, type ServerContext } from './server';

const QUOTA_BYTES = 1024 * 1024 * 1024;

export function etcdServer({ layout, ports }: ServerContext): NativeServer {
  const unpacked = join(layout.packages, 'etcd');
  const client = `http://127.0.0.1:${ports.etcd}`;
  const peer = `http://127.0.0.1:${ports.etcdPeer}`;

  function program(): string | undefined {
    const own = join(unpacked, 'usr', 'bin', 'etcd');
    return which('etcd') ?? (existsSync(own) ? own : undefined);
  }

  return {
    name: 'etcd',
    ports: [
      { port: ports.etcd, what: 'etcd' },
      { port: ports.etcdPeer, what: 'etcd peers' },
    ],
    stopGraceMs: 10_000,

    missingPackages: () => Promise.resolve([]),

    /** The package etcd-server would enable a service; its program is static and runs unpacked. */
    async fetch(report) {
      if (program()) return;
      report('unpacking etcd (Debian package etcd-server)');
      await unpackPackage('etcd-server', unpacked);
    },

    prepare: () => Promise.resolve(), // It makes its data folder itself.

    command(): Promise<Command> {
      const file = program();
      if (!file) throw new StackError('etcd is not on PATH.');
      const settings = {
        name: 'im',
        'data-dir': layout.data('etcd'),
        'listen-client-urls': client,
        'advertise-client-urls': client,
        'listen-peer-urls': peer,
        'initial-advertise-peer-urls': peer,
        'initial-cluster': `im=${peer}`,
        'quota-backend-bytes': QUOTA_BYTES,
        // Presence changes often; without compaction the quota would fill with history.
        'auto-compaction-mode': 'periodic',
        'auto-compaction-retention': '10m',
        logger: 'zap',
        'log-level': 'warn',
      };
      const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
      // etcd 3.4 refuses to run on arm64 unless told that this is known.
      const extra = process.arch === 'arm64' ? { ETCD_UNSUPPORTED_ARCH: 'arm64' } : {};
      return Promise.resolve({ file, args, cwd: layout.dir, env: serverEnvironment(extra) });
    },
  };
}
