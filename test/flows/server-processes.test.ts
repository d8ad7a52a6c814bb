/** SERVER_PROCESSES=2: two server processes behind one gRPC and one REST port. */
import { readFileSync } from 'node:fs';
import { unique } from '../support/ids';
import { ImClient } from '../support/im-client';
import { freePort, ProductProcess } from '../support/processes';
import { TestGateway } from '../support/gateway';
import { startUsers, testConfig } from '../support/system';
import { waitFor } from '../support/wait';

/** Connections are handed out in turn: more than there are processes reach all of them. */
const CONNECTIONS = 4;

let server: ProductProcess;
let gateway: TestGateway;
let users: Awaited<ReturnType<typeof startUsers>>;
let grpcPort: number;
let httpPort: number;

beforeAll(async () => {
  users = await startUsers(0);
  gateway = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
  // First among the devices a readiness check samples, and alive.
  await gateway.connect(unique('!ready'), 'phone');
  [grpcPort, httpPort] = [await freePort(), await freePort()];
  server = new ProductProcess('server', httpPort, {
    SERVER_PROCESSES: '2',
    // Long enough for a test to see that pushes are under way.
    IM_PUSH_DEADLINE_MS: '3000',
    USER_SERVICE_ADDRESS: users.grpcAddress,
    GRPC_PORT: String(grpcPort),
    HTTP_PORT: String(httpPort),
  });
  await server.start();
}, 120_000);
afterAll(async () => {
  await server.end('SIGKILL');
  await gateway.stop();
  await users.stop();
}, 60_000);

/** The processes of the server, by the kernel's word. */
function children(): number[] {
  const { pid } = server;
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text.trim().split(' ').filter(Boolean).map(Number);
}

/** The sum of a metric over the processes, as `/metrics` tells it. */
async function metric(name: string): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${httpPort}/metrics`);
  const line = (await response.text()).split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? NaN);
}

async function withClients<T>(work: (clients: ImClient[]) => Promise<T>): Promise<T> {
  const clients = Array.from({ length: CONNECTIONS }, () => new ImClient(grpcPort));
  try {
    return await work(clients);
  } finally {
    for (const client of clients) client.close();
  }
}

function send(client: ImClient, senderId: string, recipientId: string, msgId = unique('msg')) {
  return client.routePrivate({
    msg_id: msgId,
    sender_id: senderId,
    recipient_id: recipientId,
    content: 'hello',
    timestamp: Date.now(),
  });
}

test('numbers of a conversation are unique and increasing over the processes, and metrics add up', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const routed = 'im_service_messages_routed_total{type="private"}';
  await gateway.connect(bob, 'phone');
  const numbers = await withClients(async (clients) => {
    const answered: number[] = [];
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(clients.map((client) => send(client, alice, bob)));
      const given = answers.map((answer) => answer.sequence_number).sort((a, b) => a - b);
      expect(answers.map((answer) => answer.status)).toEqual(clients.map(() => 'delivered'));
      expect(given[0]).toBeGreaterThan(answered.at(-1) ?? 0);
      answered.push(...given);
    }
    return answered;
  });
  expect(new Set(numbers).size).toBe(10 * CONNECTIONS);
  expect(await metric(routed)).toBe(10 * CONNECTIONS);
});

test('pushes of one connection reach a gateway in the order of their numbers', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  await gateway.connect(bob, 'phone');
  await withClients(async ([client]) => {
    await Promise.all(Array.from({ length: 50 }, () => send(client as ImClient, alice, bob)));
  });
  const order = (await gateway.received(bob, 50)).map((push) => push.sequence_number);
  expect(order).toEqual([...order].sort((a, b) => a - b));
});

test('a repeated id gets its first answer from whichever process it reaches', async () => {
  const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
  const answers = await withClients((clients) =>
    Promise.all(clients.map((client) => send(client, alice, bob, msgId))),
  );
  expect(new Set(answers.map((answer) => answer.sequence_number)).size).toBe(1);
  expect(answers.every((answer) => answer.success)).toBe(true);
});

test('a process that is killed is started anew; the other serves meanwhile', async () => {
  const [killed, other] = children();
  process.kill(killed as number, 'SIGKILL');
  await waitFor('the kernel to have ended it', 5_000, () =>
    Promise.resolve(!children().includes(killed as number)),
  );
  const answers = await withClients((clients) =>
    Promise.all(clients.map((client) => send(client, unique('alice'), unique('bob')))),
  );
  expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 'offline'));
  await waitFor('another process', 60_000, () => Promise.resolve(children().length === 2));
  expect(children()).toContain(other);
  // Metrics are those of all: they come once the new process is there.
  await waitFor('metrics', 30_000, async () => !Number.isNaN(await metric('im_service_in_flight')));
});

test('SIGTERM ends all of them, and what is in flight is answered', async () => {
  const pids = children();
  await withClients(async (clients) => {
    const bob = unique('bob');
    await gateway.connect(bob, 'phone');
    await Promise.all(clients.map((client) => send(client, unique('alice'), bob)));
    gateway.mood = 'silent';
    const sending = clients.map((client) => send(client, unique('alice'), bob));
    await waitFor('them to be in flight', 5_000, async () => {
      return (await metric('im_service_in_flight')) === CONNECTIONS;
    });
    const ended = server.end('SIGTERM');
    expect((await Promise.all(sending)).map(({ status }) => status)).toEqual(
      clients.map(() => 'offline'),
    );
    expect(await ended).toBe(0);
  });
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
