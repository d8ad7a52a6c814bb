/** The product under measurement: real servers, a server and a worker process, a user service, a gateway. */
import { pino } from 'pino';
import { onInterrupt } from '../../dev/stack/interrupt';
import { readLive } from '../../dev/stack/pidfile';
import { offsetFrom, Stack } from '../../dev/stack/stack';
import { DevUserService } from '../../dev/user-service/user-service';
import { freePort, ProductProcess } from '../../test/support/processes';
import { TestGateway } from '../../test/support/gateway';
import { processGroup } from './cpu';

/** Far from the ports of `npm start` and `npm test`; PORT_OFFSET says otherwise. */
export const BENCH_OFFSET = 30_000;

export const JWT_SECRET = 'of-the-benchmarks-0123456789abcdef';

export interface BenchSystem {
  readonly grpcPort: number;
  readonly httpPort: number;
  readonly workerHttpPort: number;
  readonly users: DevUserService;
  readonly gateway: TestGateway;
  readonly server: ProductProcess;
  readonly worker: ProductProcess;
  readonly stack: Stack;
  close(): Promise<void>;
}

export interface BenchSystemOptions {
  /** Names the servers and their data. */
  readonly instance?: string;
  /** Begins without the data of earlier runs, so that runs can be compared. */
  readonly fresh?: boolean;
  /** Options of Node's own for the server, such as those of its profiler. */
  readonly serverOptions?: readonly string[];
}

/** Brings everything up on servers of the benchmarks' own. */
export async function startBenchSystem(
  env: Record<string, string> = {},
  options: BenchSystemOptions = {},
): Promise<BenchSystem> {
  const stack = new Stack({
    instance: options.instance ?? 'bench',
    offset: offsetFrom(process.env, BENCH_OFFSET),
    given: process.env,
    report: (line) => console.error(line),
  });
  if (options.fresh) {
    await stack.down();
    for (const name of stack.own) await stack.wipe(name);
  }
  await stack.up();
  const users = new DevUserService(
    { grpcPort: 0, httpPort: 0, kafkaBrokers: [stack.environment.KAFKA_BROKERS] },
    pino({ level: 'silent' }),
  );
  await users.start();
  const [grpcPort, http, workerHttp] = [await freePort(), await freePort(), await freePort()];
  const processEnv: Record<string, string> = {
    ...stack.environment,
    NODE_ENV: 'production',
    JWT_SECRET,
    USER_SERVICE_ADDRESS: users.grpcAddress,
    GRPC_PORT: String(grpcPort),
    HTTP_PORT: String(http),
    IM_WORKER_HTTP_PORT: String(workerHttp),
    ...env,
  };
  const server = new ProductProcess('server', http, processEnv, undefined, options.serverOptions);
  const worker = new ProductProcess('worker', workerHttp, processEnv);
  const gateway = await TestGateway.start([stack.environment.ETCD_ENDPOINTS]);
  const close = async (): Promise<void> => {
    try {
      await Promise.all([server.end('SIGTERM'), worker.end('SIGTERM')]);
      await gateway.stop();
      await users.stop();
      await stack.down();
    } finally {
      stopListening();
    }
  };
  // Whoever ends a benchmark early ends what it started, too.
  const stopListening = onInterrupt({
    first: () => void close().finally(() => process.exit(1)),
    second: () => process.exit(1),
  });
  await Promise.all([server.start(), worker.start()]);
  return {
    grpcPort,
    httpPort: http,
    workerHttpPort: workerHttp,
    users,
    gateway,
    server,
    worker,
    stack,
    close,
  };
}

/** Processes by name: the product's, and those of the servers, as far as they are processes of this machine. */
export function processesOf(system: BenchSystem): Record<string, number[]> {
  const { stack, server, worker } = system;
  const servers = stack.own.map((name): [string, number[]] => {
    const record = readLive(stack.layout.pidfile(name));
    return [name, record ? processGroup(record.pid) : []];
  });
  return { server: [server.pid], worker: [worker.pid], ...Object.fromEntries(servers) };
}
