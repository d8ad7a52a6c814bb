/** A MySQL of the test's own that keeps a binary log, which the one of the stack does without. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createConnection } from 'mysql2/promise';
import { portsFor } from '../../dev/stack/environment';
import { Layout } from '../../dev/stack/layout';
import { mysqlServer } from '../../dev/stack/servers/mysql';
import { freePort } from './processes';
import { waitFor } from './wait';

export class BinlogMysql {
  private constructor(
    private readonly child: ChildProcess,
    private readonly layout: Layout,
    readonly url: string,
  ) {}

  static async start(instance: string): Promise<BinlogMysql> {
    const layout = new Layout(instance);
    const mysql = await freePort();
    const server = mysqlServer({ layout, ports: { ...portsFor(0), mysql } });
    await server.prepare();
    const { file, args, env } = await server.command();
    const kept = args.filter((arg) => arg !== '--skip-log-bin');
    const child = spawn(file, [...kept, '--log-bin=binlog', '--server-id=1'], {
      env,
      stdio: 'ignore',
    });
    const url = `mysql://im:im@127.0.0.1:${mysql}/im`;
    await waitFor('MySQL with a binary log', 60_000, () => answers(url));
    return new BinlogMysql(child, layout, url);
  }

  /** Where its data and its binary log are. */
  get folder(): string {
    return this.layout.data('mysql');
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit');
    this.child.kill('SIGTERM');
    await ended;
    rmSync(this.layout.dir, { recursive: true, force: true });
  }
}

async function answers(url: string): Promise<boolean> {
  try {
    await (await createConnection({ uri: url, connectTimeout: 1_000 })).end();
    return true;
  } catch {
    // Not up yet; waitFor has the deadline.
    return false;
  }
}
