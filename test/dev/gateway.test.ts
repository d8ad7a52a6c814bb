/** The development gateway: pushes reach devices or fail, presence is what the contract says, people can send. */
import { Server, type Client } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { call, connect, listen, loadService, stopServer, unary } from '../../dev/common/grpc';
import { DevGateway } from '../../dev/gateway/gateway';
import { Person, etcdClient, eventually, gatewayOnFreePorts, quiet, unique } from './support';

const gatewayService = loadService(
  'gateway/gateway.proto',
  'im_gateway_servicepb.UimUgatewayUserviceService',
);

interface PushAnswer {
  success: boolean;
  delivered_count: number;
  failed_devices: string[];
}

let etcd: Etcd3;
let gateway: DevGateway;
let client: Client;

/** Stands for IM Service: answers with what it was asked. */
const im = new Server();
const routed: Record<string, unknown>[] = [];

const push = (user: string, device: string, msgId = unique('m')) =>
  call<PushAnswer>(
    client,
    'PushMessage',
    {
      msg_id: msgId,
      recipient_id: user,
      device_id: device,
      sender_id: 'alice',
      content: 'hello',
      message_type: 'private',
      sequence_number: 7,
      timestamp: 1_706_180_400_000,
    },
    1_000,
  );
const registryValue = (user: string, device: string) =>
  etcd.get(`/registry/users/${user}/${device}`).string();

beforeAll(async () => {
  const { service } = loadService('api/v1/im.proto', 'im.v1.IMService');
  im.addService(service, {
    RoutePrivateMessage: unary((request: Record<string, unknown>) => {
      routed.push(request);
      return { success: true, status: 'offline', sequence_number: routed.length };
    }),
  });
  const imPort = await listen(im, 0);
  etcd = etcdClient();
  gateway = new DevGateway(gatewayOnFreePorts({ imAddress: `127.0.0.1:${imPort}` }), quiet);
  await gateway.start();
  client = connect(gatewayService, gateway.address);
});

afterAll(async () => {
  client.close();
  await gateway.stop();
  await stopServer(im, 0);
  etcd.close();
});

describe('push', () => {
  test('a message reaches the device it is for, and only that one', async () => {
    const user = unique('bob');
    const phone = await Person.present(gateway.httpUrl, user, 'phone');
    const laptop = await Person.present(gateway.httpUrl, user, 'laptop');
    expect(await push(user, 'phone', 'm-1')).toMatchObject({ success: true, delivered_count: 1 });
    expect(await phone.next('message')).toEqual({
      type: 'message',
      msg_id: 'm-1',
      recipient_id: user,
      device_id: 'phone',
      sender_id: 'alice',
      content: 'hello',
      message_type: 'private',
      sequence_number: 7,
      timestamp: 1_706_180_400_000,
    });
    expect(laptop.frames.filter(({ type }) => type === 'message')).toEqual([]);
    await Promise.all([phone.leave(), laptop.leave()]);
  });

  test('a device that is not connected is a failure that names it', async () => {
    expect(await push(unique('bob'), 'phone')).toMatchObject({
      success: false,
      delivered_count: 0,
      failed_devices: ['phone'],
    });
  });

  test('a device that has just gone swallows nothing, whatever the registry still says', async () => {
    const user = unique('bob');
    const bob = await Person.present(gateway.httpUrl, user, 'phone');
    bob.socket.terminate(); // no closing handshake, as when a network drops
    const answer = await push(user, 'phone');
    expect(answer).toMatchObject({ success: false, delivered_count: 0, failed_devices: ['phone'] });
    expect(bob.frames.filter(({ type }) => type === 'message')).toEqual([]);
  });

  test('a device that is connected but does not react is a failure before the caller gives up', async () => {
    const user = unique('bob');
    const bob = await Person.present(gateway.httpUrl, user, 'phone');
    bob.socket.pause();
    const started = Date.now();
    expect(await push(user, 'phone')).toMatchObject({ success: false, failed_devices: ['phone'] });
    expect(Date.now() - started).toBeLessThan(1_000);
    bob.socket.resume();
    await bob.leave();
  });

  test('many messages at once arrive in the order they were pushed', async () => {
    const user = unique('bob');
    const bob = await Person.present(gateway.httpUrl, user, 'phone');
    const ids = Array.from({ length: 200 }, (_, index) => `m-${index}`);
    const answers = await Promise.all(ids.map((id) => push(user, 'phone', id)));
    expect(answers.filter(({ success }) => !success)).toEqual([]);
    const seen = bob.frames.filter(({ type }) => type === 'message').map(({ msg_id }) => msg_id);
    expect(seen).toEqual(ids);
    await bob.leave();
  });

  test('a read receipt reaches all devices of the sender, or nobody and says so', async () => {
    const user = unique('alice');
    const receipt = {
      msg_id: 'm-1',
      sender_id: user,
      reader_id: 'bob',
      conversation_id: 'alice_bob',
      read_at: 1_706_180_500_000,
    };
    const pushReceipt = () => call<PushAnswer>(client, 'PushReadReceipt', receipt, 1_000);
    expect(await pushReceipt()).toMatchObject({ success: false, delivered_count: 0 });
    const alice = await Person.present(gateway.httpUrl, user, 'phone');
    expect(await pushReceipt()).toMatchObject({ success: true, delivered_count: 1 });
    expect(await alice.next('read_receipt')).toEqual({ type: 'read_receipt', ...receipt });
    await alice.leave();
  });

  test('the health check answers', async () => {
    expect(await call(client, 'HealthCheck', {}, 1_000)).toEqual({ status: 'healthy' });
  });
});

describe('presence', () => {
  test('is written as address|unix seconds on a lease of 90 s, and taken away at the end', async () => {
    const user = unique('bob');
    const before = Math.floor(Date.now() / 1000);
    const bob = await Person.present(gateway.httpUrl, user, 'phone');
    const [address, connectedAt] = (await registryValue(user, 'phone'))?.split('|') ?? [];
    expect(address).toBe(gateway.address);
    expect(connectedAt).toMatch(/^\d{10}$/);
    expect(Number(connectedAt) - before).toBeLessThanOrEqual(2);
    expect((await leaseOf(user, 'phone')).grantedTTL).toBe('90');
    await bob.leave();
    await eventually(
      () => registryValue(user, 'phone'),
      (value) => value === null,
    );
  });

  test('a device that connects again takes the place of its former connection', async () => {
    const user = unique('bob');
    const first = await Person.present(gateway.httpUrl, user, 'phone');
    const second = await Person.present(gateway.httpUrl, user, 'phone');
    await eventually(
      () => first.closeCode,
      (code) => code === 4001,
    );
    expect(await push(user, 'phone')).toMatchObject({ success: true });
    expect(second.frames.some(({ type }) => type === 'message')).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 200)); // the former one's lease is revoked by now
    expect(await registryValue(user, 'phone')).not.toBeNull();
    await second.leave();
  });

  test('a lost lease is granted and the key put again', async () => {
    const shortLived = new DevGateway(gatewayOnFreePorts({ leaseSeconds: 3 }), quiet);
    await shortLived.start();
    const user = unique('bob');
    const bob = await Person.present(shortLived.httpUrl, user, 'phone');
    const value = await registryValue(user, 'phone');
    const { ID } = await leaseOf(user, 'phone');
    await etcd.leaseClient.leaseRevoke({ ID });
    expect(await registryValue(user, 'phone')).toBeNull();
    await eventually(
      () => registryValue(user, 'phone'),
      (found) => found === value,
    );
    expect((await leaseOf(user, 'phone')).ID).not.toBe(ID);
    await bob.leave();
    await shortLived.stop();
  });

  test('a lost lease does not take a device back that has moved to another gateway', async () => {
    const shortLived = new DevGateway(gatewayOnFreePorts({ leaseSeconds: 3 }), quiet);
    await shortLived.start();
    const user = unique('bob');
    const former = await Person.present(shortLived.httpUrl, user, 'phone');
    const { ID } = await leaseOf(user, 'phone');
    const current = await Person.present(gateway.httpUrl, user, 'phone');
    const value = await registryValue(user, 'phone');
    await etcd.leaseClient.leaseRevoke({ ID });
    await eventually(
      () => former.closeCode,
      (code) => code === 4001,
    );
    expect(await registryValue(user, 'phone')).toBe(value);
    await current.leave();
    await shortLived.stop();
  });

  test('a gateway that stops leaves nobody registered and closes its sockets', async () => {
    const stopping = new DevGateway(gatewayOnFreePorts(), quiet);
    await stopping.start();
    const user = unique('bob');
    const bob = await Person.present(stopping.httpUrl, user, 'phone');
    await stopping.stop();
    expect(await registryValue(user, 'phone')).toBeNull();
    await eventually(
      () => bob.closeCode,
      (code) => code === 1001,
    );
  });

  test('ids that cannot be part of a key are refused', async () => {
    await expect(Person.present(gateway.httpUrl, 'a/b', 'phone')).rejects.toThrow();
    await expect(Person.present(gateway.httpUrl, '', 'phone')).rejects.toThrow();
  });

  async function leaseOf(user: string, device: string) {
    const { kvs } = await etcd.get(`/registry/users/${user}/${device}`).exec();
    const ID = kvs[0]?.lease ?? '0';
    return etcd.leaseClient.leaseTimeToLive({ ID });
  }
});

describe('sending', () => {
  test('what a person sends goes to IM Service in order, and each message is answered', async () => {
    const user = unique('alice');
    const alice = await Person.present(gateway.httpUrl, user, 'phone');
    const texts = Array.from({ length: 20 }, (_, index) => `text ${index}`);
    for (const content of texts) alice.socket.send(JSON.stringify({ to: 'bob', content }));
    const answers = await eventually(
      () => alice.frames.filter(({ type }) => type === 'answer'),
      (frames) => frames.length === texts.length,
    );
    expect(answers[0]).toMatchObject({ success: true, status: 'offline', recipient_id: 'bob' });
    const mine = routed.filter(({ sender_id }) => sender_id === user);
    expect(mine.map(({ content }) => content)).toEqual(texts);
    expect(new Set(mine.map(({ msg_id }) => msg_id)).size).toBe(texts.length);
    await alice.leave();
  });

  test('a method that IM Service does not have, and a frame that is no message, are answered too', async () => {
    const alice = await Person.present(gateway.httpUrl, unique('alice'), 'phone');
    alice.socket.send(JSON.stringify({ group: 'club', content: 'hello', msg_id: 'm-1' }));
    const answer = await alice.next('answer');
    expect(answer).toMatchObject({ msg_id: 'm-1', success: false, grpc_status: 'UNIMPLEMENTED' });
    alice.frames.length = 0;
    alice.socket.send('hello?');
    expect(await alice.next('answer')).toMatchObject({ success: false, status: 'failed' });
    await alice.leave();
  });
});
