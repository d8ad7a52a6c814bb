/** What the platform asks of a server: health, readiness, metrics, gRPC health and reflection. */
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js';
import { loadProto, serviceIn } from '../../src/activities/protos';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

let system: TestSystem;
beforeAll(async () => (system = await startSystem()));
afterAll(() => system.close());

test('/health answers with a time', async () => {
  const response = await system.http('/health');
  expect(response.status).toBe(200);
  const body = (await response.json()) as { status: string; timestamp: string };
  expect(body.status).toBe('healthy');
  expect(Date.parse(body.timestamp)).toBeGreaterThan(Date.now() - 60_000);
});

test('/ready asks every dependency of the spec, and Temporal', async () => {
  // First among the devices that are sampled: other tests register gateways that are dead on purpose.
  await system.gateway.connect(unique('!ready'), 'phone');
  const response = await system.http('/ready');
  expect(await response.json()).toEqual({
    status: 'ready',
    dependencies: {
      mysql: 'healthy',
      redis: 'healthy',
      kafka: 'healthy',
      etcd: 'healthy',
      gateway_service: 'healthy',
      user_service: 'healthy',
      temporal: 'healthy',
    },
  });
  expect(response.status).toBe(200);
});

test('/ready is 503 and names the user service while it is away', async () => {
  const lonely = await startSystem();
  await lonely.users.stop();
  try {
    const response = await lonely.http('/ready');
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      status: 'not_ready',
      dependencies: { user_service: 'unhealthy', mysql: 'healthy' },
    });
  } finally {
    await lonely.close();
  }
});

test('/metrics counts what was routed, under the names of the spec', async () => {
  const before = await readMetrics();
  await system.send(unique('alice'), unique('bob'));
  const after = await readMetrics();
  const grown = (name: string): number => (after.get(name) ?? 0) - (before.get(name) ?? 0);
  expect(grown('im_service_messages_routed_total{type="private"}')).toBe(1);
  expect(grown('im_service_offline_messages_stored_total')).toBe(1);
  expect(grown('im_service_sequence_numbers_generated_total')).toBe(1);
  expect(grown('im_service_routing_latency_bucket{le="+Inf"}')).toBe(1);
  for (const limit of [50, 100, 200]) {
    expect(after.has(`im_service_routing_latency_bucket{le="${limit}"}`)).toBe(true);
  }
});

test('the gRPC health service says SERVING', async () => {
  const Health = makeGenericClientConstructor({}, 'health');
  const client = new Health(`127.0.0.1:${system.server.grpcPort}`, credentials.createInsecure());
  const answer = await new Promise<Buffer>((resolve, reject) => {
    client.makeUnaryRequest(
      '/grpc.health.v1.Health/Check',
      (value: Buffer) => value,
      (value: Buffer) => value,
      Buffer.alloc(0),
      { deadline: Date.now() + 5_000 },
      (error, value) => (error ? reject(error) : resolve(value as Buffer)),
    );
  }).finally(() => client.close());
  // Field 1, SERVING = 1.
  expect([...answer]).toEqual([8, 1]);
});

test('reflection names the service', async () => {
  const Reflection = makeGenericClientConstructor({}, 'reflection');
  const client = new Reflection(
    `127.0.0.1:${system.server.grpcPort}`,
    credentials.createInsecure(),
  );
  const names = await new Promise<string>((resolve, reject) => {
    const stream = client.makeBidiStreamRequest(
      '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
      (value: Buffer) => value,
      (value: Buffer) => value.toString('latin1'),
      { deadline: Date.now() + 5_000 },
    );
    stream.on('data', resolve).on('error', reject);
    // list_services = 7, "*"
    stream.write(Buffer.from([0x3a, 1, 0x2a]));
    stream.end();
  }).finally(() => client.close());
  expect(names).toContain('im.v1.IMService');
});

test("the service's proto is the spec's", () => {
  const methods = Object.keys(serviceIn(loadProto('api/v1/im.proto'), 'im.v1.IMService'));
  expect(methods).toEqual(['RoutePrivateMessage', 'RouteGroupMessage', 'GetMessageStatus']);
});

async function readMetrics(): Promise<Map<string, number>> {
  const text = await (await system.http('/metrics')).text();
  const lines = text.split('\n').filter((line) => line && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const space = line.lastIndexOf(' ');
      return [line.slice(0, space), Number(line.slice(space + 1))];
    }),
  );
}
