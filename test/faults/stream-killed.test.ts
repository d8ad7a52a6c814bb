/** SIGTERM and SIGKILL of the server under streams: every message is answered, in the end, in its order. */
import type { Database } from '../../src/activities/mysql/database';
import { sleep } from '../../src/activities/sleep';
import type { TestGateway } from '../support/gateway';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import type { ProductProcess } from '../support/processes';
import { Product } from '../support/product';
import { idOf, inPrivate, message, responseOf, StreamClient } from '../support/stream-client';
import type { StreamAnswer, StreamRequest } from '../support/stream-client';
import { waitFor } from '../support/wait';

const CONVERSATIONS = 10;
const MESSAGES = 3_000;
const BATCH = 15;

let product: Product;
let server: ProductProcess;
let client: StreamClient;
let gateway: TestGateway;
let db: Database;

beforeAll(async () => {
  // A push that is given up though the gateway has it would be made again, and is not what is meant here.
  // Nor is what a user service makes of a machine that has no time for it.
  product = await Product.start({
    IM_PUSH_DEADLINE_MS: '10000',
    IM_USER_SERVICE_DEADLINE_MS: '10000',
  });
  ({ server, gateway } = product);
  client = new StreamClient(product.grpcPort);
  db = await openDatabase();
}, 120_000);
afterAll(async () => {
  client.close();
  await product.close();
  await db.close();
}, 60_000);

interface Sending {
  readonly requests: readonly StreamRequest[];
  readonly online: ReadonlySet<string>;
  readonly answers: Map<string, StreamAnswer>;
  readonly done: Promise<void>;
}

/** Messages of several conversations, half of the recipients online, sent as a gateway would. */
async function startSending(): Promise<Sending> {
  const pairs = Array.from({ length: CONVERSATIONS }, () => [unique('alice'), unique('bob')]);
  const online = new Set(pairs.flatMap(([, bob = ''], i) => (i % 2 ? [bob] : [])));
  await Promise.all([...online].map((user) => gateway.connect(user, 'phone')));
  const requests = Array.from({ length: MESSAGES }, (_, i) => {
    const [alice = '', bob = ''] = pairs[i % CONVERSATIONS] ?? [];
    return inPrivate(message(alice, bob));
  });
  const answers = new Map<string, StreamAnswer>();
  return { requests, online, answers, done: sendUntilAnswered(requests, answers) };
}

/** On one stream after the other: what has no answer goes again, in its order. */
async function sendUntilAnswered(
  requests: readonly StreamRequest[],
  answers: Map<string, StreamAnswer>,
): Promise<void> {
  const giveUp = Date.now() + 90_000;
  for (;;) {
    const left = requests.filter((request) => !answers.has(idOf(request) ?? ''));
    if (left.length === 0) return;
    if (Date.now() > giveUp) throw new Error(`${left.length} messages have no answer`);
    const stream = client.open();
    const note = (): void => {
      for (const answer of stream.answers.splice(0)) answers.set(answer.msg_id, answer);
    };
    for (let at = 0; at < left.length && !stream.status; at += BATCH) {
      stream.write(left.slice(at, at + BATCH));
      note();
      await sleep(10);
    }
    if (!stream.status) stream.call.end();
    await stream.ended(60_000);
    note();
    await sleep(100);
  }
}

/** What must hold whatever happened to the server meanwhile. */
async function expectKept({ requests, online, answers }: Sending): Promise<void> {
  const failed = [...answers.values()].filter((answer) => !responseOf(answer).success);
  expect(failed).toEqual([]);
  for (let of = 0; of < CONVERSATIONS; of++) {
    const numbers = requests
      .filter((_, i) => i % CONVERSATIONS === of)
      .map((request) => answers.get(idOf(request) ?? '') as StreamAnswer)
      .map((answer) => responseOf(answer).sequence_number);
    expect(new Set(numbers).size).toBe(MESSAGES / CONVERSATIONS);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
  const pushed = new Set(gateway.pushes.map((push) => push.msg_id));
  const ids = requests.map((request) => idOf(request) ?? '');
  const unpushed = ids.filter((id) => !pushed.has(id));
  expect(online.size).toBe(CONVERSATIONS / 2);
  await waitFor('what was not pushed to wait', 60_000, async () => {
    const rows = await db.select('SELECT msg_id FROM inbox WHERE msg_id IN (?)', [unpushed]);
    return rows.length === unpushed.length;
  });
}

/** How often messages were pushed again. */
function pushedAgain({ requests }: Sending): number {
  const ids = new Set(requests.map(idOf));
  const pushes = gateway.pushes.filter((push) => ids.has(push.msg_id));
  return pushes.length - new Set(pushes.map((push) => push.msg_id)).size;
}

test('SIGTERM: what was taken is answered, the rest is taken by the next stream, nothing is pushed twice', async () => {
  const sending = await startSending();
  await waitFor('some answers', 30_000, () => Promise.resolve(sending.answers.size > 300));
  expect(await server.end('SIGTERM')).toBe(0);
  expect(sending.answers.size).toBeLessThan(MESSAGES);
  await server.start();
  await sending.done;
  await expectKept(sending);
  expect(pushedAgain(sending)).toBe(0);
}, 180_000);

test('SIGKILL: every message is answered in the end, numbers keep the order, only what was in flight comes twice', async () => {
  const sending = await startSending();
  await waitFor('some answers', 30_000, () => Promise.resolve(sending.answers.size > 300));
  await server.end('SIGKILL');
  expect(sending.answers.size).toBeLessThan(MESSAGES);
  await server.start();
  await sending.done;
  await expectKept(sending);
  expect(pushedAgain(sending)).toBeLessThan(300);
}, 180_000);
