/** A gateway of the tests' own: it registers devices as gateways do and records what is pushed to it. */
import { Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { Etcd3 } from 'etcd3';
import { loadService, stopServer } from '../../dev/common/grpc';
import { waitFor } from './wait';

export interface Push {
  msg_id: string;
  recipient_id: string;
  device_id: string;
  sender_id: string;
  content: string;
  message_type: string;
  sequence_number: number;
  timestamp: number;
}

/** How the gateway takes pushes: as it should, with an error, saying nobody is there, or never. */
export type Mood = 'well' | 'failing' | 'absent' | 'silent';

export class TestGateway {
  mood: Mood = 'well';
  readonly pushes: Push[] = [];
  readonly receipts: object[] = [];
  /** Pushes that came, whatever became of them. */
  calls = 0;
  private readonly server = new Server();
  private port = 0;
  private readonly etcd: Etcd3;
  private readonly registered = new Set<string>();

  private constructor(etcdEndpoints: string[]) {
    this.etcd = new Etcd3({
      hosts: etcdEndpoints,
      defaultCallOptions: ({ isStream }) => (isStream ? {} : { deadline: Date.now() + 5_000 }),
    });
    const { service } = loadService(
      'gateway/gateway.proto',
      'im_gateway_servicepb.UimUgatewayUserviceService',
    );
    this.server.addService(service, {
      PushMessage: this.take((request: Push) => this.pushes.push(request)),
      PushReadReceipt: this.take((request: object) => this.receipts.push(request)),
      HealthCheck: (_: unknown, answer: sendUnaryData<object>) => answer(null, { status: 'ok' }),
    });
  }

  static async start(etcdEndpoints: string[], port = 0): Promise<TestGateway> {
    const gateway = new TestGateway(etcdEndpoints);
    gateway.port = await new Promise<number>((resolve, reject) => {
      gateway.server.bindAsync(
        `127.0.0.1:${port}`,
        ServerCredentials.createInsecure(),
        (error, bound) => (error ? reject(error) : resolve(bound)),
      );
    });
    return gateway;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Registers a device, here or at another address. */
  async connect(userId: string, deviceId: string, address = this.address): Promise<void> {
    const value = `${address}|${Math.floor(Date.now() / 1000)}`;
    const key = `/registry/users/${userId}/${deviceId}`;
    this.registered.add(key);
    await this.etcd.put(key).value(value);
  }

  async disconnect(userId: string, deviceId: string): Promise<void> {
    await this.etcd.delete().key(`/registry/users/${userId}/${deviceId}`);
  }

  /** Clears the registry of what other tests left in it. Only for tests that run alone. */
  async forgetAllDevices(): Promise<void> {
    await this.etcd.delete().prefix('/registry/users/');
  }

  /** What was pushed for a user, in the order it came. */
  pushesOf(userId: string): Push[] {
    return this.pushes.filter((push) => push.recipient_id === userId);
  }

  /** Waits until so many pushes have come for a user. */
  async received(userId: string, count: number, timeoutMs = 10_000): Promise<Push[]> {
    await waitFor(`${count} pushes for ${userId}`, timeoutMs, () =>
      Promise.resolve(this.pushesOf(userId).length >= count),
    );
    return this.pushesOf(userId);
  }

  /** Takes its devices out of the registry and ends. */
  async stop(): Promise<void> {
    for (const key of this.registered) await this.etcd.delete().key(key);
    await stopServer(this.server, 200);
    this.etcd.close();
  }

  private take<Request>(record: (request: Request) => void) {
    return (call: ServerUnaryCall<Request, object>, answer: sendUnaryData<object>): void => {
      this.calls += 1;
      switch (this.mood) {
        case 'well':
          record(call.request);
          answer(null, { success: true, delivered_count: 1, failed_devices: [] });
          return;
        case 'failing':
          answer({ code: status.UNAVAILABLE, details: 'the test says so' });
          return;
        case 'absent':
          answer(null, { success: true, delivered_count: 0, failed_devices: [] });
          return;
        case 'silent':
          return;
      }
    };
  }
}
