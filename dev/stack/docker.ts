/** Servers as containers of `docker-compose.yml`, for those who have a Docker daemon. */
import type { Backend, StopSignal } from './backend';
import type { Ports, ServerName } from './environment';
import { StackError } from './errors';
import type { Layout } from './layout';
import type { PortUse } from './ports';
import { run } from './provision/run';

/** A daemon that is there answers at once; a broken one must not hold up the start. */
const DAEMON_DEADLINE_MS = 3_000;
/** Images may have to be pulled. */
const PULL_DEADLINE_MS = 15 * 60_000;
const COMMAND_DEADLINE_MS = 60_000;

/** Whether a Docker daemon answers and can compose. */
export async function dockerAnswers(): Promise<boolean> {
  try {
    await run('docker', ['info'], { timeoutMs: DAEMON_DEADLINE_MS });
    await run('docker', ['compose', 'version'], { timeoutMs: DAEMON_DEADLINE_MS });
    return true;
  } catch (error) {
    if (error instanceof StackError) return false;
    throw error;
  }
}

export class DockerBackend implements Backend {
  constructor(
    private readonly layout: Layout,
    private readonly ports: Ports,
  ) {}

  async provision(names: readonly ServerName[]): Promise<void> {
    await this.compose(['pull', '--quiet', '--policy', 'missing', ...names], PULL_DEADLINE_MS);
  }

  async whereabouts(name: ServerName): Promise<string | undefined> {
    const id = (await this.compose(['ps', '--quiet', '--status', 'running', name])).trim();
    return id ? `container ${id.slice(0, 12)}` : undefined;
  }

  /** Docker itself restarts what crashes (`restart: unless-stopped`). */
  crashed(): Promise<boolean> {
    return Promise.resolve(false);
  }

  portsOf(name: ServerName): readonly PortUse[] {
    const own = [{ port: this.ports[name], what: name }];
    return name === 'temporal'
      ? [...own, { port: this.ports.temporalUi, what: 'Temporal UI' }]
      : own;
  }

  async launch(name: ServerName): Promise<void> {
    await this.compose(['up', '--detach', '--no-deps', name], PULL_DEADLINE_MS);
  }

  async stop(name: ServerName, signal: StopSignal): Promise<void> {
    await this.compose(signal === 'SIGKILL' ? ['kill', name] : ['stop', name]);
  }

  async wipe(name: ServerName): Promise<void> {
    if (await this.whereabouts(name)) {
      throw new StackError(`${name} is running: stop it before its data is removed.`);
    }
    await this.compose(['rm', '--force', name]);
    const volume = `${this.project}_${name}`;
    await run('docker', ['volume', 'rm', '--force', volume], { timeoutMs: COMMAND_DEADLINE_MS });
  }

  logTail(name: ServerName, lines = 15): Promise<string> {
    return this.compose(['logs', '--no-color', '--tail', String(lines), name]);
  }

  private get project(): string {
    return `im-${this.layout.instance}`;
  }

  private compose(args: readonly string[], timeoutMs = COMMAND_DEADLINE_MS): Promise<string> {
    const { mysql, redis, kafka, etcd, temporal, temporalUi } = this.ports;
    return run('docker', ['compose', '--project-name', this.project, ...args], {
      timeoutMs,
      cwd: this.layout.root,
      env: {
        ...process.env,
        MYSQL_PORT: String(mysql),
        REDIS_PORT: String(redis),
        KAFKA_PORT: String(kafka),
        ETCD_PORT: String(etcd),
        TEMPORAL_PORT: String(temporal),
        TEMPORAL_UI_PORT: String(temporalUi),
      },
    });
  }
}
