/** The real servers under the service: brings them up, takes one away, gives it back. */
import type { Backend, StopSignal } from './backend';
import { DockerBackend, dockerAnswers } from './docker';
import {
  ownServers,
  portsFor,
  SERVER_NAMES,
  stackEnvironment,
  type ServerName,
  type StackEnvironment,
} from './environment';
import { StackError } from './errors';
import { Layout } from './layout';
import { NativeBackend } from './native';
import { requireFree } from './ports';
import { ailment, waitHealthy } from './probe';
import { settleAll } from './provision/provision';
import type { Watched } from './supervisor';

/** Generous: a cold disk, or Kafka going through its log after a SIGKILL. */
const BOOT_DEADLINE_MS = 90_000;

export interface StackOptions {
  readonly instance: string;
  readonly offset: number;
  /** What the caller has set: addresses in it are used as they are. */
  readonly given: NodeJS.ProcessEnv;
  readonly report: (line: string) => void;
}

export interface ServerStatus {
  readonly name: ServerName;
  readonly state: 'running' | 'unhealthy' | 'stopped' | 'external';
  readonly address: string;
  /** `pid 12`, or what is wrong. */
  readonly detail: string;
}

export class Stack {
  readonly environment: StackEnvironment;
  readonly layout: Layout;
  /** The servers this stack runs; the others are at addresses that the caller gave. */
  readonly own: readonly ServerName[];
  private chosen: Promise<Backend> | undefined;

  constructor(private readonly options: StackOptions) {
    this.environment = stackEnvironment(options.offset, options.given);
    this.layout = new Layout(options.instance);
    const external = modeFrom(options.given) === 'external';
    this.own = external ? [] : ownServers(options.offset, options.given);
  }

  /** The stack that STACK_INSTANCE, PORT_OFFSET and STACK name. */
  static fromEnvironment(
    given: NodeJS.ProcessEnv = process.env,
    report: (line: string) => void = () => undefined,
  ): Stack {
    const instance = given['STACK_INSTANCE'] || 'dev';
    return new Stack({ instance, offset: offsetFrom(given), given, report });
  }

  /** Brings up whatever of its servers is not up, and returns the names of those it started. */
  async up(): Promise<ServerName[]> {
    if (this.own.length === 0) return [];
    const backend = await this.backend();
    await backend.provision(this.own);
    const running = await this.running();
    const missing = this.own.filter((name) => !running.includes(name));
    await requireFree(missing.flatMap((name) => backend.portsOf(name)));
    if (missing.length > 0) this.options.report(`starting ${missing.join(', ')}`);
    await settleAll(this.own.map((name) => this.bring(backend, name)));
    return missing;
  }

  /** Stops all its servers, or the named ones. */
  async down(
    names: readonly ServerName[] = this.own,
    signal: StopSignal = 'SIGTERM',
  ): Promise<void> {
    await settleAll(names.map((name) => this.stop(name, { signal })));
  }

  /** Those of its servers that run now. */
  async running(): Promise<ServerName[]> {
    if (this.own.length === 0) return [];
    const backend = await this.backend();
    const where = await Promise.all(this.own.map((name) => backend.whereabouts(name)));
    return this.own.filter((_, index) => where[index] !== undefined);
  }

  /** Starts one server and waits until it serves. */
  async start(name: ServerName): Promise<void> {
    const backend = await this.backendOf(name);
    await backend.provision([name]);
    if (!(await backend.whereabouts(name))) await requireFree(backend.portsOf(name));
    await this.bring(backend, name);
  }

  /** Stops one server and returns when it is gone. SIGKILL is for tests of crashes. */
  async stop(name: ServerName, options: { signal?: StopSignal } = {}): Promise<void> {
    const backend = await this.backendOf(name);
    await backend.stop(name, options.signal ?? 'SIGTERM');
  }

  async restart(name: ServerName): Promise<void> {
    await this.stop(name);
    await this.start(name);
  }

  /** Removes the data of a stopped server. */
  async wipe(name: ServerName): Promise<void> {
    await (await this.backendOf(name)).wipe(name);
  }

  /** Asks every server; those of the caller too. */
  async status(): Promise<ServerStatus[]> {
    const backend = this.own.length > 0 ? await this.backend() : undefined;
    const addresses = {
      mysql: this.environment.MYSQL_URL.replace(/\/\/[^@/]*@/, '//'),
      redis: this.environment.REDIS_URL.replace(/\/\/[^@/]*@/, '//'),
      kafka: this.environment.KAFKA_BROKERS,
      etcd: this.environment.ETCD_ENDPOINTS,
      temporal: this.environment.TEMPORAL_ADDRESS,
    };
    return Promise.all(
      SERVER_NAMES.map(async (name): Promise<ServerStatus> => {
        const address = addresses[name];
        const own = this.own.includes(name);
        const where = own ? await backend?.whereabouts(name) : undefined;
        if (own && !where) return { name, state: 'stopped', address, detail: '' };
        const trouble = await ailment(name, this.environment);
        if (trouble) return { name, state: 'unhealthy', address, detail: trouble };
        if (!where) return { name, state: 'external', address, detail: 'answers' };
        return { name, state: 'running', address, detail: where };
      }),
    );
  }

  /** Its servers, for a supervisor. */
  async watched(): Promise<Watched[]> {
    if (this.own.length === 0) return [];
    const backend = await this.backend();
    return this.own.map((name) => ({
      name,
      crashed: () => backend.crashed(name),
      restart: () => this.start(name),
      logTail: () => backend.logTail(name),
    }));
  }

  async logTail(name: ServerName, lines?: number): Promise<string> {
    return (await this.backendOf(name)).logTail(name, lines);
  }

  private async bring(backend: Backend, name: ServerName): Promise<void> {
    const began = performance.now();
    await backend.launch(name);
    const stillRunning = async (): Promise<boolean> => Boolean(await backend.whereabouts(name));
    const trouble = await waitHealthy(name, this.environment, BOOT_DEADLINE_MS, stillRunning);
    if (trouble !== undefined) {
      throw new StackError(`${name} did not start: ${trouble}.\n${await backend.logTail(name)}`);
    }
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    this.options.report(`${name} is ready (${seconds} s)`);
  }

  private async backendOf(name: ServerName): Promise<Backend> {
    if (this.own.includes(name)) return this.backend();
    throw new StackError(`${name} is not run by this stack: its address was given from outside.`);
  }

  private backend(): Promise<Backend> {
    this.chosen ??= this.choose();
    return this.chosen;
  }

  private async choose(): Promise<Backend> {
    const mode = modeFrom(this.options.given);
    const ports = portsFor(this.options.offset);
    if (mode === 'docker' || (mode === 'auto' && (await dockerAnswers()))) {
      return new DockerBackend(this.layout, ports);
    }
    return new NativeBackend({ layout: this.layout, ports }, this.options.report);
  }
}

const MODES = ['auto', 'docker', 'native', 'external'] as const;

function modeFrom(given: NodeJS.ProcessEnv): (typeof MODES)[number] {
  const value = given['STACK'] || 'auto';
  const mode = MODES.find((known) => known === value);
  if (!mode) throw new StackError(`STACK is "${value}"; allowed: ${MODES.join(', ')}.`);
  return mode;
}

/** The largest standard port is 9097; all of them have to stay below 65536. */
const OFFSET_MAX = 50_000;

/** PORT_OFFSET, checked. */
export function offsetFrom(given: NodeJS.ProcessEnv, fallback = 0): number {
  const value = given['PORT_OFFSET'] || String(fallback);
  const offset = Number(value);
  if (!/^\d+$/.test(value) || offset > OFFSET_MAX) {
    throw new StackError(`PORT_OFFSET is "${value}"; allowed: a whole number, 0 to ${OFFSET_MAX}.`);
  }
  return offset;
}
