/** Groups across the neighbours: joins and leaves are told on Kafka, and gateways push to the members they hold. */
import { Kafka, logLevel, type Admin, type Producer } from 'kafkajs';
import { DevGateway } from '../../dev/gateway/gateway';
import { DevUserService } from '../../dev/user-service/user-service';
import { Person, eventually, gatewayOnFreePorts, kafkaBrokers, quiet, unique } from './support';

let kafka: Kafka;
let admin: Admin;
let producer: Producer;
let users: DevUserService;
let gateway: DevGateway;

async function put(path: string, body?: unknown, method = 'PUT'): Promise<unknown> {
  const response = await fetch(`${users.httpUrl}${path}`, {
    method,
    body: JSON.stringify(body ?? {}),
    signal: AbortSignal.timeout(10_000),
  });
  return response.json();
}

async function publish(groupId: string, msgId: string): Promise<void> {
  const value = {
    msg_id: msgId,
    group_id: groupId,
    sender_id: 'alice',
    content: 'hello all',
    message_type: 'group',
    sequence_number: 1,
    timestamp: Date.now(),
  };
  const messages = [{ key: groupId, value: JSON.stringify(value) }];
  await producer.send({ topic: 'group_msg', acks: -1, timeout: 5_000, messages });
}

const seenBy = ({ frames }: Person) =>
  frames.filter(({ type }) => type === 'group_message').map(({ msg_id }) => msg_id);
const health = async () =>
  (await (await fetch(`${gateway.httpUrl}/health`)).json()) as Record<string, unknown>;

beforeAll(async () => {
  kafka = new Kafka({ brokers: kafkaBrokers(), logLevel: logLevel.NOTHING });
  admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({
    waitForLeaders: true,
    // As in production; created here only if this test is the first to need them.
    topics: [
      { topic: 'group_msg', numPartitions: 32 },
      { topic: 'membership_change', numPartitions: 16 },
    ],
  });
  producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  users = new DevUserService({ grpcPort: 0, httpPort: 0, kafkaBrokers: kafkaBrokers() }, quiet);
  await users.start();
  gateway = new DevGateway(
    gatewayOnFreePorts({ kafkaBrokers: kafkaBrokers(), userServiceAddress: users.grpcAddress }),
    quiet,
  );
  await gateway.start();
  await eventually(health, ({ group_messages }) => group_messages === 'reading', 20_000);
}, 40_000);

afterAll(async () => {
  await gateway.stop();
  await users.stop();
  await producer.disconnect();
  await admin.disconnect();
}, 20_000);

test('a group message reaches the members connected here, on all devices, but not its sender', async () => {
  const group = unique('club');
  await put(`/groups/${group}`, { members: ['alice', 'bob', 'carol'] });
  const at = (user: string, device: string) => Person.present(gateway.httpUrl, user, device);
  const [alice, phone, laptop, eve] = await Promise.all([
    at('alice', 'phone'),
    at('bob', 'phone'),
    at('bob', 'laptop'),
    at('eve', 'phone'),
  ]);
  await publish(group, 'm-1');
  await Promise.all([phone.next('group_message'), laptop.next('group_message')]);
  expect(seenBy(phone)).toEqual(['m-1']);
  expect(seenBy(alice)).toEqual([]);
  expect(seenBy(eve)).toEqual([]);
  await Promise.all([alice, phone, laptop, eve].map((person) => person.leave()));
});

test('who joins gets what comes after, who leaves gets nothing more', async () => {
  const group = unique('club');
  await put(`/groups/${group}`, { members: ['alice', 'bob'] });
  const bob = await Person.present(gateway.httpUrl, 'bob', 'phone');
  const dave = await Person.present(gateway.httpUrl, 'dave', 'phone');
  await publish(group, 'before');
  await eventually(
    () => seenBy(bob),
    (seen) => seen.includes('before'),
  );

  // In this order on one partition: a gateway that knows of the join knows of the leave.
  await put(`/groups/${group}/members/bob`, undefined, 'DELETE');
  await put(`/groups/${group}/members/dave`);
  // The two topics are read side by side: wait until the gateway has heard.
  let probe = 0;
  await eventually(
    async () => {
      await publish(group, `probe-${(probe += 1)}`);
      return seenBy(dave).length;
    },
    (seen) => seen > 0,
  );
  await publish(group, 'after');
  await eventually(
    () => seenBy(dave),
    (seen) => seen.includes('after'),
  );
  expect(seenBy(dave)).not.toContain('before');
  expect(seenBy(bob)).not.toContain('after');
  await Promise.all([bob.leave(), dave.leave()]);
});

test('each join and leave is one record keyed by group, in the exact form of the contract', async () => {
  const consumer = kafka.consumer({ groupId: unique('test') });
  const group = unique('club');
  const records: { key?: string; value: Record<string, unknown> }[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: ['membership_change'], fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => {
      const value = JSON.parse(String(message.value)) as Record<string, unknown>;
      if (value.group_id === group) records.push({ key: message.key?.toString(), value });
      return Promise.resolve();
    },
  });
  const report = await put(`/groups/${group}`, { members: ['alice', 'bob'] });
  expect(report).toMatchObject({ joined: 2, events: 'published' });
  await put(`/groups/${group}/members/bob`, undefined, 'DELETE');
  await eventually(
    () => records.length,
    (count) => count === 3,
    15_000,
  );
  const timestamp: unknown = expect.any(Number);
  const record = (user_id: string, event_type: string) => ({
    key: group,
    value: { group_id: group, user_id, event_type, timestamp },
  });
  expect(records).toEqual([record('alice', 'join'), record('bob', 'join'), record('bob', 'leave')]);
  await consumer.disconnect();
}, 30_000);

test('a gateway whose Kafka is away still pushes private messages and says what it lacks', async () => {
  const alone = new DevGateway(gatewayOnFreePorts({ kafkaBrokers: ['127.0.0.1:1'] }), quiet);
  await alone.start();
  const bob = await Person.present(alone.httpUrl, unique('bob'), 'phone');
  const answer = await fetch(`${alone.httpUrl}/health`);
  expect(await answer.json()).toMatchObject({ connections: 1, group_messages: 'connecting' });
  await bob.leave();
  await alone.stop();
});

test('a large group is taken in one request and told completely', async () => {
  const group = unique('crowd');
  await put(`/groups/${group}`);
  const report = await put(`/groups/${group}/members`, { count: 20_000, prefix: 'u' });
  expect(report).toMatchObject({ member_count: 20_000, joined: 20_000 });
  const last = await Person.present(gateway.httpUrl, 'u20000', 'phone');
  await publish(group, 'm-1');
  await last.next('group_message');
  await last.leave();
});
