/** Redis, at least 7, with its append-only file. */
import { existsSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { StackError } from '../errors';
import { which } from '../provision/run';
import type { Command } from '../process';
import { serverEnvironment, type NativeServer, type ServerContext } from './server';

export function redisServer({ layout, ports }: ServerContext): NativeServer {
  const data = layout.data('redis');
  const link = join(layout.packages, 'redis-server');

  return {
    name: 'redis',
    ports: [{ port: ports.redis, what: 'Redis' }],
    stopGraceMs: 10_000,

    // The package redis-server would enable a service. Its program is the one of redis-tools.
    missingPackages: () =>
      Promise.resolve(which('redis-server', 'redis-check-rdb') ? [] : ['redis-tools']),

    /** The program serves when it is called redis-server. */
    fetch() {
      const program = which('redis-check-rdb');
      if (!which('redis-server') && program && !existsSync(link)) {
        rmSync(link, { force: true }); // A link that leads nowhere "does not exist".
        symlinkSync(program, link);
      }
      return Promise.resolve();
    },

    prepare() {
      mkdirSync(data, { recursive: true });
      return Promise.resolve();
    },

    command(): Promise<Command> {
      const file = which('redis-server') ?? (existsSync(link) ? link : undefined);
      if (!file) throw new StackError('redis-server is not on PATH.');
      const settings = {
        port: ports.redis,
        bind: '127.0.0.1',
        'protected-mode': 'yes',
        daemonize: 'no',
        dir: data,
        appendonly: 'yes',
        appendfsync: 'everysec',
        // A rewrite forks and goes through all there is: not each time a small file has doubled.
        'auto-aof-rewrite-min-size': '512mb',
        // A third of a rewrite's CPU was compression.
        rdbcompression: 'no',
        // What is remembered of a message stays one compact piece, also with ids as long as UUIDs and
        // several devices: as a table of its own it takes twice the memory.
        'hash-max-listpack-value': 1024,
        // The append-only file is enough; snapshots would only cost forks.
        save: '',
        // Running full must be an error, never a counter that is silently evicted.
        'maxmemory-policy': 'noeviction',
      };
      const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      return Promise.resolve({ file, args, cwd: layout.dir, env: serverEnvironment() });
    },
  };
}
