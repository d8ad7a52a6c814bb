/** A server and a worker as processes, with a user service and a gateway of the test's own. */
import { join } from 'node:path';
import { TestGateway } from './gateway';
import { unique } from './ids';
import { freePort, ProductProcess } from './processes';
import { startUsers, testConfig } from './system';

type Users = Awaited<ReturnType<typeof startUsers>>;

export class Product {
  private constructor(
    readonly server: ProductProcess,
    readonly worker: ProductProcess,
    readonly gateway: TestGateway,
    readonly users: Users,
    readonly grpcPort: number,
    readonly httpPort: number,
    readonly workerPort: number,
  ) {}

  /** Resolves when both say that they are ready. Their logs go into `logs`, if given. */
  static async start(changes: Record<string, string> = {}, logs?: string): Promise<Product> {
    const users = await startUsers(0);
    const gateway = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
    // First among the devices a readiness check samples, and alive.
    await gateway.connect(unique('!ready'), 'phone');
    const [grpc, http, workerHttp] = [await freePort(), await freePort(), await freePort()];
    const env = {
      USER_SERVICE_ADDRESS: users.grpcAddress,
      GRPC_PORT: String(grpc),
      HTTP_PORT: String(http),
      IM_WORKER_HTTP_PORT: String(workerHttp),
      ...changes,
    };
    const [serverLog, workerLog] = ['server', 'worker'].map(
      (name) => logs && join(logs, `${name}.log`),
    );
    const server = new ProductProcess('server', http, env, serverLog);
    const worker = new ProductProcess('worker', workerHttp, env, workerLog);
    await Promise.all([server.start(), worker.start()]);
    return new Product(server, worker, gateway, users, grpc, http, workerHttp);
  }

  /** Ends the two; a second time nothing happens. */
  async end(): Promise<void> {
    await Promise.all([this.server.end('SIGTERM'), this.worker.end('SIGTERM')]);
  }

  async close(): Promise<void> {
    await this.end();
    await this.gateway.stop();
    await this.users.stop();
  }
}
