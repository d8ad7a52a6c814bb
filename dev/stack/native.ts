/** Servers as background processes of this machine. */
import { rmSync } from 'node:fs';

import type { Backend, StopSignal } from './backend';
import type { ServerName } from './environment';
import { StackError } from './errors';
import type { PortUse } from './ports';
import { BackgroundProcess } from './process';
import { provision } from './provision/provision';
import { etcdServer } from './servers/etcd';
import { kafkaServer } from './servers/kafka';
import { mysqlServer } from './servers/mysql';
import { redisServer } from './servers/redis';
import type { NativeServer, Report, ServerContext } from './servers/server';
import { temporalServer } from './servers/temporal';

export class NativeBackend implements Backend {
  private readonly servers: Record<ServerName, NativeServer>;

  constructor(
    private readonly context: ServerContext,
    private readonly report: Report,
  ) {
    this.servers = {
      mysql: mysqlServer(context),
      redis: redisServer(context),
      kafka: kafkaServer(context),
      etcd: etcdServer(context),
      temporal: temporalServer(context),
    };
  }

  async provision(names: readonly ServerName[]): Promise<void> {
    const servers = names.map((name) => this.servers[name]);
    await provision(this.context.layout, servers, this.report);
  }

  whereabouts(name: ServerName): Promise<string | undefined> {
    const record = this.process(name).running();
    return Promise.resolve(record && `pid ${record.pid}`);
  }

  crashed(name: ServerName): Promise<boolean> {
    return Promise.resolve(this.process(name).crashed());
  }

  portsOf(name: ServerName): readonly PortUse[] {
    return this.servers[name].ports;
  }

  async launch(name: ServerName): Promise<void> {
    const server = this.servers[name];
    const process = this.process(name);
    await server.prepare();
    const command = await server.command();
    const running = process.running();
    if (running) {
      const same = running.command.join('\0') === [command.file, ...command.args].join('\0');
      if (same) return;
      this.report(`${name} runs with other settings: restarting it`);
      await process.stop('SIGTERM', server.stopGraceMs);
    }
    await process.launch(command);
  }

  async stop(name: ServerName, signal: StopSignal): Promise<void> {
    await this.process(name).stop(signal, this.servers[name].stopGraceMs);
  }

  async wipe(name: ServerName): Promise<void> {
    if (await this.whereabouts(name)) {
      throw new StackError(`${name} is running: stop it before its data is removed.`);
    }
    rmSync(this.context.layout.data(name), { recursive: true, force: true });
  }

  logTail(name: ServerName, lines?: number): Promise<string> {
    return Promise.resolve(this.process(name).logTail(lines));
  }

  private process(name: ServerName): BackgroundProcess {
    return new BackgroundProcess(name, this.context.layout);
  }
}
