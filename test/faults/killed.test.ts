/** SIGKILL of the server and of the worker in mid-flight, and SIGTERM of the server under load. */
import type { Database } from '../../src/activities/mysql/database';
import { sleep } from '../../src/activities/sleep';
import type { TestGateway } from '../support/gateway';
import { unique } from '../support/ids';
import { ImClient } from '../support/im-client';
import { Load } from '../support/load';
import { openDatabase } from '../support/mysql';
import type { ProductProcess } from '../support/processes';
import { Product } from '../support/product';
import { waitFor } from '../support/wait';

let product: Product;
let server: ProductProcess;
let worker: ProductProcess;
let client: ImClient;
let gateway: TestGateway;
let db: Database;

beforeAll(async () => {
  product = await Product.start();
  ({ server, worker, gateway } = product);
  client = new ImClient(product.grpcPort);
  db = await openDatabase();
}, 120_000);
afterAll(async () => {
  client.close();
  await product.close();
  await db.close();
}, 60_000);

const send = (senderId: string, recipientId: string, content: string, msgId: string) =>
  client.routePrivate({
    msg_id: msgId,
    sender_id: senderId,
    recipient_id: recipientId,
    content,
    timestamp: Date.now(),
  });

test('SIGKILL of the server under load: what was answered is safe, and retries keep the number', async () => {
  const load = new Load(send, gateway);
  await load.start(100);
  await load.wellAgain(100, 30_000);
  await server.end('SIGKILL');
  await sleep(500);
  await server.start();
  await load.wellAgain(100, 60_000);
  await load.stop();
  expect(await load.lost(db, 60_000)).toEqual([]);
  // A gateway that got no answer sends again: each is taken now, also those the dead server held.
  const retried = await Promise.all(load.unanswered.map((msgId) => load.retry(msgId)));
  expect(retried.filter((answer) => !answer.success)).toEqual([]);
}, 180_000);

test('SIGKILL of the worker under load, three times: every message is stored, none twice', async () => {
  const load = new Load(send, gateway);
  await load.start(100);
  for (let round = 0; round < 3; round++) {
    await load.wellAgain(100, 30_000);
    await worker.end('SIGKILL');
    await worker.start();
  }
  await load.stop();
  expect(await load.lost(db, 90_000)).toEqual([]);
  const ids = load.successes.map((sent) => sent.msgId);
  const [row] = await db.select<{ twice: number }>(
    `SELECT COUNT(*) AS twice FROM (SELECT msg_id FROM inbox WHERE msg_id IN (?)
     GROUP BY msg_id HAVING COUNT(*) > 1) AS repeated`,
    [ids],
  );
  expect(row?.twice).toBe(0);
}, 240_000);

test('SIGKILL of the worker while an inbox drains: everything arrives, only what was in flight twice', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  for (let i = 0; i < 300; i += 50) {
    await Promise.all(Array.from({ length: 50 }, () => send(alice, bob, 'wait', unique('msg'))));
  }
  await waitFor('300 rows', 60_000, async () => {
    const [row] = await db.select<{ pending: number }>(
      'SELECT pending FROM inbox_heads WHERE user_id = ?',
      [bob],
    );
    return row?.pending === 300;
  });
  await gateway.connect(bob, 'phone');
  await gateway.received(bob, 50, 30_000);
  await worker.end('SIGKILL');
  const before = gateway.pushesOf(bob).length;
  await worker.start();
  await waitFor('all 300', 90_000, () =>
    Promise.resolve(new Set(gateway.pushesOf(bob).map((push) => push.msg_id)).size === 300),
  );
  expect(before).toBeLessThan(300);
  // Between a push and its mark there are a few messages at the most.
  expect(gateway.pushesOf(bob).length).toBeLessThanOrEqual(320);
}, 240_000);

test('SIGTERM of the server under load: it finishes what is in flight and exits with 0', async () => {
  const load = new Load(send, gateway);
  await load.start(200);
  await load.wellAgain(100, 30_000);
  expect(await server.end('SIGTERM')).toBe(0);
  await load.stop();
  expect(await load.lost(db, 60_000)).toEqual([]);
  await server.start();
}, 120_000);
