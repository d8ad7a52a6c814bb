/** No content and no token in any log line, whatever the level and however a request ends. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deadLetterTopic, TOPICS } from '../../src/activities/kafka/topics';
import type { TestGateway } from '../support/gateway';
import { TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { ImClient } from '../support/im-client';
import { connectKafka, createProducer, readUntil } from '../support/kafka';
import { Product } from '../support/product';
import { tokenFor } from '../support/rest-client';
import { waitFor } from '../support/wait';

const CANARY = unique('canary');
/** What every token of ours begins with: its header. */
const TOKEN_HEAD = 'eyJhbGciOiJIUzI1NiJ9';
/** More than the test needs before it wants to be refused. */
const USER_LIMIT = 70;

describe('the logs of server and worker, at their most talkative', () => {
  let product: Product;
  let gateway: TestGateway;
  let client: ImClient;
  let folder: string;
  let base: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'im-logs-'));
    const env = {
      LOG_LEVEL: 'trace',
      IM_TEMPORAL_TASK_QUEUE: unique('queue'),
      IM_RATE_LIMIT_USER: String(USER_LIMIT),
    };
    product = await Product.start(env, folder);
    ({ gateway } = product);
    client = new ImClient(product.grpcPort);
    base = `http://127.0.0.1:${product.httpPort}`;
  }, 120_000);
  afterAll(async () => {
    client.close();
    await product.close();
    rmSync(folder, { recursive: true });
  });

  /** Messages that arrive, wait, are delivered, refused, and are put aside. */
  async function sendMessages(alice: string, bob: string, away: string): Promise<void> {
    const send = (recipient: string, more: object = {}) =>
      client.routePrivate({
        msg_id: unique('msg'),
        sender_id: alice,
        recipient_id: recipient,
        content: CANARY,
        timestamp: Date.now(),
        ...more,
      });
    await gateway.connect(bob, 'phone');
    await send(bob);
    await send(away);
    await send(bob, { content: CANARY.repeat(1_000) });
    await send(bob, { content: `${CANARY}\u0000\ud800` });
    await send(bob, { timestamp: -1 });
    await send(bob, { metadata: { [CANARY]: CANARY } });
    gateway.mood = 'failing';
    await send(bob);
    gateway.mood = 'well';
    const group = await TestGroup.make({ users: product.users, client }, [alice, bob, away]);
    await group.send(alice, CANARY);
    // Who connects in the second of a group message counts as having been there.
    const inbox = { headers: { authorization: `Bearer ${await tokenFor(away)}` } };
    await waitFor('both to wait', 30_000, async () => {
      await sleep(500);
      const answer = await fetch(`${base}/api/v1/offline/count`, inbox);
      return ((await answer.json()) as { count?: number }).count === 2;
    });
    await gateway.connect(away, 'phone');
    await gateway.received(away, 2, 60_000);
    const kafka = connectKafka();
    const producer = await createProducer(kafka);
    for (const topic of [TOPICS.offline, TOPICS.delivered, TOPICS.group, TOPICS.membership]) {
      await producer.append(topic, { key: alice, value: `{"content":"${CANARY}"` });
      await readUntil(kafka, deadLetterTopic(topic), ({ key }) => key === alice);
    }
    await producer.close();
  }

  /** Requests that succeed and that fail in every way there is. */
  async function askEverything(user: string): Promise<Set<number>> {
    const good = await tokenFor(user);
    const expired = await tokenFor(user, { exp: 1 });
    const statuses = new Set<number>();
    const ask = async (path: string, token: string, init: RequestInit = {}) => {
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
      const response = await fetch(`${base}${path}`, { ...init, headers });
      statuses.add(response.status);
      await response.text();
    };
    for (const path of [
      '/api/v1/offline',
      '/api/v1/offline/count',
      `/api/v1/offline?cursor=${CANARY}`,
      `/api/v1/offline?limit=${CANARY}`,
      `/api/v1/offline?access_token=${good}`,
      '/api/v1/messages/unread/count',
      `/api/v1/messages/receipts?msg_id=${CANARY}`,
      `/api/v1/conversations/group/${CANARY}/messages`,
      `/api/v1/${CANARY}`,
    ]) {
      for (const token of [good, expired, `${good}x`, CANARY]) await ask(path, token);
    }
    for (const body of [`{"msg_id":"${CANARY}"}`, `{"${CANARY}`, CANARY.repeat(2_000)]) {
      await ask('/api/v1/messages/read', await tokenFor(unique('user')), { method: 'POST', body });
    }
    for (let i = 0; i <= USER_LIMIT; i++) await ask('/api/v1/offline/count', good);
    return statuses;
  }

  test('have neither the content of messages nor a token, at any level', async () => {
    const [alice, bob, away] = [unique('alice'), unique('bob'), unique('away')];
    await sendMessages(alice, bob, away);
    const statuses = await askEverything(bob);
    expect([...statuses].sort()).toEqual(expect.arrayContaining([200, 400, 401, 404, 413, 429]));
    await waitFor('the last request to be logged', 5_000, () =>
      Promise.resolve(readFileSync(join(folder, 'server.log'), 'utf8').includes('"status":413')),
    );
    await product.end();
    for (const [name, said] of [
      ['server', 'server listens'],
      ['worker', 'record put aside'],
    ] as const) {
      const lines = readFileSync(join(folder, `${name}.log`), 'utf8').split('\n');
      // It is the log, and it talks.
      expect(lines.some((line) => line.includes(said))).toBe(true);
      expect(lines.some((line) => line.includes('"level":20'))).toBe(true);
      expect(lines.filter((line) => line.includes(CANARY) || line.includes(TOKEN_HEAD))).toEqual(
        [],
      );
    }
  }, 180_000);
});
