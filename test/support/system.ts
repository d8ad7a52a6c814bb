/** The product as a test needs it: servers in this process, on free ports, against the real stack. */
import { pino } from 'pino';
import { DevUserService } from '../../dev/user-service/user-service';
import { loadConfig } from '../../src/config';
import type { Config } from '../../src/config';
import { startServer } from '../../src/server';
import type { RunningServer } from '../../src/server';
import type { ContentSteps } from '../../src/routing/content';
import { TEST_MASTER_KEYS } from './encryption';
import { TestGateway } from './gateway';
import { ImClient } from './im-client';
import { unique } from './ids';
import { waitFor } from './wait';

/** The configuration `npm test` gave, on free ports, quiet. */
export function testConfig(changes: Record<string, string> = {}): Config {
  return loadConfig({
    ...process.env,
    NODE_ENV: 'test',
    LOG_LEVEL: process.env['TEST_LOG_LEVEL'] ?? 'silent',
    GRPC_PORT: '0',
    HTTP_PORT: '0',
    IM_WORKER_HTTP_PORT: '0',
    // Workers of several tests share the work: each must be able to read what any of them stored.
    IM_MASTER_KEYS: TEST_MASTER_KEYS,
    ...changes,
  });
}

export interface TestSystem {
  readonly config: Config;
  readonly server: RunningServer;
  readonly users: DevUserService;
  readonly client: ImClient;
  readonly gateway: TestGateway;
  /** Sends a private message and resolves to its answer and its id. */
  send: SendFunction;
  http(path: string): Promise<Response>;
  /** Starts the user service again at the address it had. */
  restartUsers(): Promise<void>;
  close(): Promise<void>;
}

type SendFunction = (
  senderId: string,
  recipientId: string,
  content?: string,
  msgId?: string,
) => ReturnType<ImClient['routePrivate']>;

/** One server with a user service, a gateway and a client of its own. */
export async function startSystem(
  changes: Record<string, string> = {},
  content?: ContentSteps,
): Promise<TestSystem> {
  let users = await startUsers(0);
  const config = testConfig({ USER_SERVICE_ADDRESS: users.grpcAddress, ...changes });
  const server = await startServer(config, content);
  // The gateway's registry is the real one, also when the server's is taken away.
  const gateway = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
  if (!('KAFKA_BROKERS' in changes)) {
    // On fresh servers the partitions of new topics get their leaders one by one.
    await waitFor('Kafka', 40_000, async () => {
      const response = await fetch(`http://127.0.0.1:${server.httpPort}/ready`);
      const { dependencies } = (await response.json()) as { dependencies: { kafka: string } };
      return dependencies.kafka === 'healthy';
    });
  }
  const client = new ImClient(server.grpcPort);
  return {
    config,
    server,
    get users() {
      return users;
    },
    client,
    gateway,
    send: (senderId, recipientId, content = 'hello', msgId = unique('msg')) =>
      client.routePrivate({
        msg_id: msgId,
        sender_id: senderId,
        recipient_id: recipientId,
        content,
        timestamp: Date.now(),
      }),
    http: (path) => fetch(`http://127.0.0.1:${server.httpPort}${path}`),
    restartUsers: async () => {
      users = await startUsers(Number(config.USER_SERVICE_ADDRESS.split(':')[1]));
    },
    close: async () => {
      client.close();
      await server.close();
      await gateway.stop();
      await users.stop();
    },
  };
}

/** A user service on a port, 0 for any. */
export async function startUsers(grpcPort: number): Promise<DevUserService> {
  const users = new DevUserService(
    { grpcPort, httpPort: 0, kafkaBrokers: testConfig().KAFKA_BROKERS },
    pino({ level: 'silent' }),
  );
  await users.start();
  return users;
}
