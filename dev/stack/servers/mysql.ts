/** MariaDB (10.11 or later) or MySQL, whichever is there. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';

import { StackError } from '../errors';
import { buildOnce } from '../provision/once';
import { run, which } from '../provision/run';
import type { Command } from '../process';
import { serverEnvironment, type NativeServer, type ServerContext } from './server';

/**
 * Runs at each start, so each statement must bear repeating. One line each: --init-file's rule.
 *
 * `im_owner` migrates; `im` is the service. A new `im` may do everything; the first migration by the
 * owner takes from it what it does not need, which no later start gives back.
 */
const INIT_SQL = [
  'CREATE DATABASE IF NOT EXISTS `im` CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;',
  "SET @new = (SELECT COUNT(*) = 0 FROM mysql.user WHERE User = 'im');",
  "CREATE USER IF NOT EXISTS 'im'@'127.0.0.1' IDENTIFIED BY 'im';",
  "SET @sql = IF(@new, 'GRANT ALL ON `im`.* TO ''im''@''127.0.0.1''', 'DO 0');",
  'PREPARE first_rights FROM @sql;',
  'EXECUTE first_rights;',
  'DEALLOCATE PREPARE first_rights;',
  // Of earlier versions; it could do everything and nobody used it.
  "DROP USER IF EXISTS 'im'@'localhost';",
  "CREATE USER IF NOT EXISTS 'im_owner'@'127.0.0.1' IDENTIFIED BY 'im_owner';",
  "GRANT ALL ON `im`.* TO 'im_owner'@'127.0.0.1' WITH GRANT OPTION;",
  // Tests make databases of their own.
  "GRANT ALL ON `im\\_%`.* TO 'im_owner'@'127.0.0.1' WITH GRANT OPTION;",
  "GRANT ALL ON `im\\_%`.* TO 'im'@'127.0.0.1';",
].join('\n');

/**
 * Redo log, MiB. What is changed again and again is written out each time the log has been filled: 3,000
 * messages a second fill 128 MiB in some seconds.
 */
const LOG_MIB = 512;

/** The ends of all conversations and inboxes that are in use should fit: an eighth of the memory, within bounds. */
function bufferPoolMiB(): number {
  return Math.round(Math.min(1_024, Math.max(256, totalmem() / 2 ** 20 / 8)));
}

export function mysqlServer({ layout, ports }: ServerContext): NativeServer {
  const data = layout.data('mysql');
  const initFile = join(layout.run, 'mysql-init.sql');
  // Its own: a server that starts deletes the temporary tables of others in the same folder.
  const temporary = join(layout.run, 'mysql-tmp');
  const asRoot = process.getuid?.() === 0 ? ['--user=root'] : [];
  const own = [...asRoot, `--tmpdir=${temporary}`];

  function program(): string {
    const file = which('mariadbd', 'mysqld');
    if (!file) throw new StackError('mariadbd (or mysqld) is not on PATH.');
    return file;
  }

  return {
    name: 'mysql',
    ports: [{ port: ports.mysql, what: 'MySQL' }],
    stopGraceMs: 20_000,

    missingPackages: () =>
      Promise.resolve(which('mariadbd', 'mysqld') ? [] : ['mariadb-server-core']),

    fetch: () => Promise.resolve(),

    async prepare() {
      writeFileSync(initFile, `${INIT_SQL}\n`);
      mkdirSync(temporary, { recursive: true });
      await buildOnce(data, (draft) => createDataDirectory(program(), draft, own));
    },

    command(): Promise<Command> {
      const options = [
        '--no-defaults',
        ...own,
        `--datadir=${data}`,
        `--init-file=${initFile}`,
        `--port=${ports.mysql}`,
        '--bind-address=127.0.0.1',
        `--socket=${socketPath(data)}`,
        `--pid-file=${join(data, 'mysqld.pid')}`,
        '--character-set-server=utf8mb4',
        '--collation-server=utf8mb4_bin',
        '--skip-name-resolve',
        '--skip-log-bin',
        '--max-connections=500',
        // An answered commit survives a crash: what the service promises rests on it.
        '--innodb-flush-log-at-trx-commit=1',
        // Every insert looks its ids up in three indexes: a seventh less CPU for storing (bench/NOTES.md).
        '--innodb-adaptive-hash-index=ON',
        `--innodb-buffer-pool-size=${bufferPoolMiB()}M`,
        `--innodb-log-file-size=${LOG_MIB}M`,
        '--performance-schema=off',
      ];
      return Promise.resolve({
        file: program(),
        args: options,
        cwd: layout.dir,
        env: serverEnvironment(),
      });
    },
  };
}

async function createDataDirectory(
  program: string,
  dir: string,
  own: readonly string[],
): Promise<void> {
  const options = { timeoutMs: 120_000, env: serverEnvironment() };
  const common = ['--no-defaults', ...own, `--datadir=${dir}`];
  if (!(await run(program, ['--version'], options)).includes('MariaDB')) {
    await run(program, [...common, '--initialize-insecure'], options);
    return;
  }
  await run(
    program,
    [...common, '--bootstrap', '--skip-log-bin', `--innodb-log-file-size=${LOG_MIB}M`],
    {
      ...options,
      input: systemTables(program),
    },
  );
}

/**
 * What mariadb-install-db feeds the server, less the help texts. That script itself would need the
 * client's package as well. Root may come in by the socket only, as the system's root.
 */
function systemTables(program: string): string {
  const scripts = ['system_tables', 'performance_tables', 'system_tables_data'];
  const candidates = [
    '/usr/share/mysql',
    '/usr/share/mariadb',
    '../share/mysql',
    '../share/mariadb',
  ]
    .map((dir) => resolve(dirname(program), dir))
    .flatMap((dir) => ['mysql', 'mariadb'].map((prefix) => join(dir, `${prefix}_`)));
  const prefix = candidates.find((path) => existsSync(`${path}system_tables.sql`));
  if (!prefix) throw new StackError(`The SQL of MariaDB's system tables is not installed.`);
  return [
    'CREATE DATABASE IF NOT EXISTS mysql;',
    'USE mysql;',
    "SET @auth_root_socket='root';",
    ...scripts.map((name) => readFileSync(`${prefix}${name}.sql`, 'utf8')),
  ].join('\n');
}

/** In the system's temporary folder: a socket path may have 107 bytes, a checkout's may be longer. */
function socketPath(data: string): string {
  const tag = createHash('sha256').update(data).digest('hex').slice(0, 12);
  return join(tmpdir(), `im-mysql-${tag}.sock`);
}
