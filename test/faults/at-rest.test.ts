/**
 * What lies on disk: a text sent every way there is, then a search through the bytes of all files that
 * the servers keep. With encryption off the same search finds it, or it would prove nothing. With it on
 * the messages are deleted in the end, whatever their state, and their ids are nowhere either.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { Redis } from 'ioredis';
import type { Client } from '@temporalio/client';
import { deadLetterTopic, TOPICS } from '../../src/activities/kafka/topics';
import { Database } from '../../src/activities/mysql/database';
import { encodeGroup } from '../../src/domain/group-records';
import { groupConversation } from '../../src/domain/ids';
import { encodeDelivered, encodeOffline } from '../../src/domain/records';
import { BinlogMysql } from '../support/binlog-mysql';
import { searchFiles } from '../support/byte-search';
import { Deletions } from '../support/deletions';
import { encryptionOn, openEncryption } from '../support/encryption';
import { TestGateway } from '../support/gateway';
import { TestGroup } from '../support/groups';
import { ImClient } from '../support/im-client';
import { unique } from '../support/ids';
import { connectKafka, createProducer, readUntil } from '../support/kafka';
import { freePort, ProductProcess } from '../support/processes';
import { message } from '../support/records';
import { RestClient } from '../support/rest-client';
import { testStack } from '../support/stack';
import { startUsers, testConfig } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal } from '../support/worker';

/** Redis writes its log once a second, Temporal's SQLite and InnoDB at once. */
const FLUSH_MS = 2_500;

interface Product {
  readonly client: ImClient;
  /** Of a server with `ROUTING_EXECUTOR=temporal`. */
  readonly viaTemporal: ImClient;
  readonly rest: RestClient;
}

describe('content at rest', () => {
  let mysql: BinlogMysql;
  let users: Awaited<ReturnType<typeof startUsers>>;
  let gateway: TestGateway;
  /** Takes nothing. */
  let broken: TestGateway;
  let temporal: Client;
  let logs: string;

  beforeAll(async () => {
    mysql = await BinlogMysql.start('at-rest');
    users = await startUsers(0);
    gateway = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
    broken = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
    broken.mood = 'failing';
    temporal = await connectTemporal(testConfig());
    // A server is ready when a gateway of the registry answers.
    await gateway.forgetAllDevices();
    await gateway.connect(unique('!ready'), 'phone');
    logs = mkdtempSync(join(tmpdir(), 'im-logs-'));
  }, 120_000);
  afterAll(async () => {
    await temporal.connection.close();
    await broken.stop();
    await gateway.stop();
    await users.stop();
    await mysql.stop();
    rmSync(logs, { recursive: true });
  });

  /** Two servers and a worker that log all they can, while `during` lasts. */
  async function withProduct(
    env: Record<string, string>,
    during: (product: Product) => Promise<void>,
  ): Promise<void> {
    const ports = await Promise.all(Array.from({ length: 5 }, () => freePort()));
    const [grpc, http, workerHttp, grpcToo, httpToo] = ports as [
      number,
      number,
      number,
      number,
      number,
    ];
    const common = {
      ...env,
      LOG_LEVEL: 'trace',
      MYSQL_URL: mysql.url,
      USER_SERVICE_ADDRESS: users.grpcAddress,
      IM_TEMPORAL_TASK_QUEUE: unique('queue'),
      IM_KAFKA_DEADLINE_MS: '5000',
      GRPC_PORT: String(grpc),
      HTTP_PORT: String(http),
      IM_WORKER_HTTP_PORT: String(workerHttp),
    };
    const throughTemporal = {
      ...common,
      ROUTING_EXECUTOR: 'temporal',
      GRPC_PORT: String(grpcToo),
      HTTP_PORT: String(httpToo),
    };
    const processes = [
      new ProductProcess('worker', workerHttp, common, join(logs, 'worker.log')),
      new ProductProcess('server', http, common, join(logs, 'server.log')),
      new ProductProcess('server', httpToo, throughTemporal, join(logs, 'server-temporal.log')),
    ];
    const [client, viaTemporal] = [new ImClient(grpc), new ImClient(grpcToo)];
    try {
      for (const process of processes) await process.start();
      await during({ client, viaTemporal, rest: new RestClient(`http://127.0.0.1:${http}`) });
    } finally {
      client.close();
      viaTemporal.close();
      for (const process of processes) await process.end('SIGTERM');
    }
  }

  /**
   * Sends the text every way there is, and then does the rest; resolves to ids that leave traces in what
   * is searched.
   */
  async function sendEveryWay(
    canary: string,
    env: Record<string, string>,
    then: (product: Product, sender: string, sent: readonly string[]) => Promise<void>,
  ) {
    const ids = Object.fromEntries(
      ['alice', 'online', 'away', 'refused', 'waiting'].map((name) => [name, unique(name)]),
    ) as Record<'alice' | 'online' | 'away' | 'refused' | 'waiting', string>;
    const { alice, online, away, refused, waiting } = ids;
    const sent: string[] = [];
    await withProduct(env, async (product) => {
      const { client, viaTemporal, rest } = product;
      const send = (recipient: string, msgId = unique('msg'), by = client) => {
        sent.push(msgId);
        return by.routePrivate({
          msg_id: msgId,
          sender_id: alice,
          recipient_id: recipient,
          content: canary,
          timestamp: Date.now(),
        });
      };
      // Refused by the gateway until the delivery fails, while all else goes on.
      await broken.connect(refused, 'phone');
      expect(await send(refused)).toMatchObject({ success: true, status: 'offline' });
      // Online, and so the history; offline and delivered later; both once more through Temporal.
      await gateway.connect(online, 'phone');
      const seen = unique('msg');
      expect(await send(online, seen)).toMatchObject({ status: 'delivered' });
      expect(await send(away, waiting)).toMatchObject({ success: true, status: 'offline' });
      expect(await send(online, unique('msg'), viaTemporal)).toMatchObject({ status: 'delivered' });
      expect(await send(away, unique('msg'), viaTemporal)).toMatchObject({ status: 'offline' });
      // To a group, of which one member is there and one is not.
      const group = await TestGroup.make({ users, client }, [alice, online, away]);
      const toGroup = unique('msg');
      sent.push(toGroup);
      expect(await group.send(alice, canary, toGroup)).toMatchObject({ success: true });
      await readItAll(rest, { reader: online, sender: alice, absent: away, msgId: seen }, canary);
      await gateway.connect(away, 'phone');
      const pushed = await gateway.received(away, 3, 60_000);
      expect(pushed.map((push) => push.content)).toEqual([canary, canary, canary]);
      // The same id again with another text, and without a sequence of its own: an error for the caller.
      expect(await send(refused, waiting)).toMatchObject({ code: 'DUPLICATE_MESSAGE' });
      await deadLetters(client, canary, waiting, env);
      await expect(
        temporal.workflow.getHandle(`offline-delivery/${refused}`).result(),
      ).rejects.toThrow();
      await then(product, alice, [...new Set(sent)]);
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    });
    return { away, waiting };
  }

  /** Everything that clients can read of it, and a receipt. */
  async function readItAll(
    rest: RestClient,
    who: { reader: string; sender: string; absent: string; msgId: string },
    canary: string,
  ): Promise<void> {
    const { reader, sender, absent, msgId } = who;
    const inbox = async () => (await rest.get(absent, '/api/v1/offline')).body.messages ?? [];
    await waitFor('the inbox', 30_000, async () => (await inbox()).length === 3);
    expect((await inbox()).map((each) => each.content)).toEqual([canary, canary, canary]);
    const path = `/api/v1/conversations/private/${[reader, sender].sort().join('_')}/messages`;
    await waitFor('the history', 30_000, async () => {
      return ((await rest.get(sender, path)).body.messages ?? []).length === 2;
    });
    const read = await rest.post(reader, '/api/v1/messages/read', { msg_id: msgId });
    expect(read.status).toBe(200);
    await waitFor('the receipt to be told', 30_000, async () => {
      const { body } = await rest.get(sender, `/api/v1/messages/receipts?msg_id=${msgId}`);
      return body.summary.reader_count === 1;
    });
  }

  /** Records that MySQL refuses, since their id is another message's, and poison on `group_msg`. */
  async function deadLetters(
    client: ImClient,
    canary: string,
    usedId: string,
    env: Record<string, string>,
  ): Promise<void> {
    const kafka = connectKafka();
    const producer = await createProducer(kafka);
    const db = Database.open({ url: mysql.url, connections: 1, deadlineMs: 5_000 });
    const conflicting = message({ msgId: usedId, content: canary });
    const { content } = await openEncryption(db, env);
    const sealed = env['ENCRYPTION'] === 'on' ? await content.seal(conflicting) : conflicting;
    const key = conflicting.recipientId;
    const group = await TestGroup.make({ users, client }, [conflicting.senderId]);
    const toGroup = { ...conflicting, conversation: groupConversation(group.id) };
    const refusedRecords = {
      [TOPICS.offline]: encodeOffline(sealed, key),
      [TOPICS.delivered]: encodeDelivered({ message: sealed, devices: ['d'], deliveredAt: 1 }),
      [TOPICS.group]: `{"content":"${canary}"`,
    };
    await producer.append(TOPICS.group, { key, value: encodeGroup(toGroup) });
    for (const [topic, value] of Object.entries(refusedRecords)) {
      await producer.append(topic, { key, value });
      let left = topic === TOPICS.group ? 2 : 1;
      await readUntil(kafka, deadLetterTopic(topic), (dead) => dead.key === key && --left === 0);
    }
    await producer.close();
    await db.close();
  }

  /** As MySQL has it, without the header, which says nothing of the content. */
  async function ciphertextOf(db: Database, msgId: string): Promise<string> {
    const [row] = await db.select<{ content: string }>(
      'SELECT content FROM messages WHERE msg_id = ?',
      [msgId],
    );
    return row?.content.split('.')[3] ?? '';
  }

  /** Names of the places where the text was found, and that something was read in each. */
  async function placesWith(needle: string): Promise<string[]> {
    const { layout } = testStack();
    const folders = {
      mysql: mysql.folder,
      redis: layout.data('redis'),
      kafka: layout.data('kafka'),
      temporal: layout.data('temporal'),
      etcd: layout.data('etcd'),
      serverLogs: layout.logs,
      logs,
    };
    const found = new Set<string>();
    for (const [place, folder] of Object.entries(folders)) {
      // What members are to see is in clear there, by contract: gateways cannot decrypt.
      const { hits, read } = await searchFiles(folder, needle, (path) =>
        /\/group_msg-\d+\//.test(path),
      );
      expect({ place, somethingWasRead: read > 0 }).toEqual({ place, somethingWasRead: true });
      for (const hit of hits) found.add(nameOf(place, hit));
    }
    return [...found].sort();
  }

  /** Of Kafka which topic, and of MySQL whether it is its binary log. */
  function nameOf(place: string, path: string): string {
    if (place === 'kafka') return basename(dirname(path)).replace(/-\d+$/, '');
    return basename(path).startsWith('binlog') ? 'binlog' : place;
  }

  it('with encryption off is found in MySQL, its binary log, Redis, and each topic and its dead letters', async () => {
    const canary = unique('canary-in-clear');
    await sendEveryWay(canary, { ENCRYPTION: 'off' }, () => Promise.resolve());
    expect(await placesWith(canary)).toEqual([
      'binlog',
      'group_msg.dlq',
      'mysql',
      'offline_msg',
      'offline_msg.dlq',
      'private_msg',
      'private_msg.dlq',
      'redis',
    ]);
  }, 600_000);

  it('with encryption on is found in no file of any server, though ids are; deleted, no table or key has those', async () => {
    const canary = unique('canary-sealed');
    const env = { ...encryptionOn() };
    let ciphertext = '';
    const { away, waiting } = await sendEveryWay(
      canary,
      env,
      async ({ client, rest }, by, sent) => {
        const db = Database.open({ url: mysql.url, connections: 2, deadlineMs: 5_000 });
        const redis = new Redis(testConfig().REDIS_URL);
        const deletions = new Deletions({ client, rest, db, redis });
        // Online and read, delivered late, refused and waiting, through Temporal, dead letters, a group's.
        expect(sent).toHaveLength(6);
        // An export holds all of them as well.
        await waitFor('an export', 60_000, async () => {
          return (await rest.get(by, '/api/v1/export')).status === 200;
        });
        ciphertext = await ciphertextOf(db, sent[0] as string);
        for (const msgId of sent) await deletions.removeForGood(by, msgId, canary);
        redis.disconnect();
        await db.close();
      },
    );
    expect(await placesWith(canary)).toEqual([]);
    // The same search sees what the same messages left: their ids.
    expect(await placesWith(waiting)).toEqual(
      expect.arrayContaining(['binlog', 'mysql', 'offline_msg', 'offline_msg.dlq', 'redis']),
    );
    expect(await placesWith(away)).toEqual(expect.arrayContaining(['etcd', 'temporal']));
    // A history cannot be erased: not even ciphertexts are in Temporal, nor in any log.
    const sealed = await placesWith(ciphertext);
    expect(sealed).toEqual(expect.arrayContaining(['binlog', 'offline_msg']));
    for (const place of ['temporal', 'serverLogs', 'logs']) expect(sealed).not.toContain(place);
    await waitFor(
      'the logs',
      1_000,
      async () => (await searchFiles(logs, 'server listens')).hits.length > 0,
    );
  }, 600_000);
});
