/** The benchmarks' own processes, forked and spoken to: the gateways, the floor, the generator. */
import { fork, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { projectRoot } from '../../src/paths';
import { freePort } from '../../test/support/processes';
import type { GatewayRequest } from './gateway-process';
import type { GeneratorNote, LoadResult } from './load-generator';
import type { LoadSpec } from './traffic';

const script = (name: string): string => join(projectRoot(), 'dist', 'bench', 'harness', name);

interface Reply {
  readonly id: number;
  readonly answer?: unknown;
  readonly error?: string;
}

/** Gateways that take every push, count it, and answer that it was delivered. */
export class BenchGateways {
  addresses: readonly string[] = [];
  private lastId = 0;

  private constructor(private readonly child: ChildProcess) {}

  static async start(etcd: string, addresses = 4): Promise<BenchGateways> {
    const child = fork(script('gateway-process.js'), { serialization: 'advanced' });
    const gateways = new BenchGateways(child);
    gateways.addresses = (await gateways.ask({ kind: 'listen', etcd, addresses })) as string[];
    return gateways;
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Registers a device of each user, spread over the gateways unless an address is given. */
  async register(users: readonly string[], address?: string): Promise<void> {
    await this.ask({ kind: 'register', users, address });
  }

  /** Makes the first gateway accept and never answer, or answer again. */
  async silence(silent: boolean): Promise<void> {
    await this.ask({ kind: 'silence', silent });
  }

  /** How often each message of a load was pushed, by its number. */
  async pushes(run: string): Promise<Uint8Array> {
    return (await this.ask({ kind: 'pushes', run })) as Uint8Array;
  }

  async count(): Promise<number> {
    return (await this.ask({ kind: 'count' })) as number;
  }

  async stop(): Promise<void> {
    this.child.disconnect();
    await once(this.child, 'exit');
  }

  private ask(request: GatewayRequest): Promise<unknown> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const onReply = (reply: Reply): void => {
        if (reply.id !== id) return;
        this.child.off('message', onReply);
        if (reply.error === undefined) resolve(reply.answer);
        else reject(new Error(`the gateways: ${reply.error}`));
      };
      this.child.on('message', onReply);
      this.child.send({ id, request });
    });
  }
}

/** The floor: a grpc-js server with the same proto that does nothing. */
export class Floor {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
  ) {}

  static async start(): Promise<Floor> {
    const port = await freePort();
    const child = spawn(process.execPath, [script('noop-server.js'), String(port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    // Also when a benchmark is ended early.
    process.once('exit', () => child.kill());
    await once(child.stdout, 'data');
    return new Floor(child, port);
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  async stop(): Promise<void> {
    this.child.kill();
    await once(this.child, 'exit');
  }
}

export interface LoadListeners {
  /** Called when the generator, whose process it is given, begins to measure, and when it ends. */
  readonly onMeasuring?: (generatorPid: number) => void;
  readonly onMeasured?: (note: { readonly answered: number; readonly seconds: number }) => void;
  readonly onInterval?: (note: Extract<GeneratorNote, { kind: 'interval' }>) => void;
}

/** Runs one load in a process of its own; rejects if that process ends before its result is here. */
export async function runLoad(spec: LoadSpec, listeners: LoadListeners = {}): Promise<LoadResult> {
  const child = fork(script('load-generator.js'), { serialization: 'advanced' });
  const pid = child.pid ?? 0;
  const result = new Promise<LoadResult>((resolve, reject) => {
    child.on('message', (note: GeneratorNote) => {
      if (note.kind === 'measuring') listeners.onMeasuring?.(pid);
      else if (note.kind === 'measured') listeners.onMeasured?.(note);
      else if (note.kind === 'interval') listeners.onInterval?.(note);
      else {
        resolve(note.result);
        // It exits by itself, but Node once hung in that, and we would wait for it for ever.
        child.kill('SIGKILL');
      }
    });
    child.once('exit', (code) => reject(new Error(`the generator ended with ${code}`)));
  });
  child.send(spec);
  return result;
}
