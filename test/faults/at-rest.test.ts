/**
 * What lies on disk: a text sent every way there is, then a search through the bytes of all files that
 * the servers keep. With encryption off the same search finds it, or it would prove nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { deadLetterTopic, TOPICS } from '../../src/activities/kafka/topics';
import { Database } from '../../src/activities/mysql/database';
import { encodeOffline } from '../../src/domain/records';
import { BinlogMysql } from '../support/binlog-mysql';
import { searchFiles } from '../support/byte-search';
import { encryptionOn, openEncryption } from '../support/encryption';
import { TestGateway } from '../support/gateway';
import { ImClient } from '../support/im-client';
import { unique } from '../support/ids';
import { connectKafka, createProducer, readUntil } from '../support/kafka';
import { freePort, ProductProcess } from '../support/processes';
import { message } from '../support/records';
import { testStack } from '../support/stack';
import { startUsers, testConfig } from '../support/system';
import { waitFor } from '../support/wait';

/** Redis writes its log once a second, Temporal's SQLite and InnoDB at once. */
const FLUSH_MS = 2_500;

describe('content at rest', () => {
  let mysql: BinlogMysql;
  let users: Awaited<ReturnType<typeof startUsers>>;
  let gateway: TestGateway;
  let logs: string;

  beforeAll(async () => {
    mysql = await BinlogMysql.start('at-rest');
    users = await startUsers(0);
    gateway = await TestGateway.start(testConfig().ETCD_ENDPOINTS);
    // A server is ready when a gateway of the registry answers.
    await gateway.forgetAllDevices();
    await gateway.connect(unique('someone'), 'phone');
    logs = mkdtempSync(join(tmpdir(), 'im-logs-'));
  }, 120_000);
  afterAll(async () => {
    await gateway.stop();
    await users.stop();
    await mysql.stop();
    rmSync(logs, { recursive: true });
  });

  /** A server and a worker that log all they can, while `during` lasts. */
  async function withProduct(
    env: Record<string, string>,
    during: (client: ImClient) => Promise<void>,
  ): Promise<void> {
    const [grpc, http, workerHttp] = [await freePort(), await freePort(), await freePort()];
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
    const processes = [
      new ProductProcess('worker', workerHttp, common, join(logs, 'worker.log')),
      new ProductProcess('server', http, common, join(logs, 'server.log')),
    ];
    const client = new ImClient(grpc);
    try {
      for (const process of processes) await process.start();
      await during(client);
    } finally {
      client.close();
      for (const process of processes) await process.end('SIGTERM');
    }
  }

  /** Sends the text every way there is; resolves to ids that leave traces in what is searched. */
  async function sendEveryWay(canary: string, env: Record<string, string>) {
    const [alice, online, away, refused] = ['alice', 'online', 'away', 'refused'].map(unique) as [
      string,
      string,
      string,
      string,
    ];
    const waiting = unique('msg');
    await withProduct(env, async (client) => {
      const send = (recipient: string, msgId = unique('msg')) =>
        client.routePrivate({
          msg_id: msgId,
          sender_id: alice,
          recipient_id: recipient,
          content: canary,
          timestamp: Date.now(),
        });
      // Online, and so the history; offline and delivered later; offline and refused by the gateway.
      await gateway.connect(online, 'phone');
      expect(await send(online)).toMatchObject({ success: true, status: 'delivered' });
      expect(await send(away, waiting)).toMatchObject({ success: true, status: 'offline' });
      await gateway.connect(away, 'phone');
      expect((await gateway.received(away, 1, 60_000))[0]?.content).toBe(canary);
      expect(await send(refused)).toMatchObject({ success: true, status: 'offline' });
      gateway.mood = 'failing';
      await gateway.connect(refused, 'phone');
      await send(refused);
      // The same id again with another text, and without a sequence of its own: an error for the caller.
      expect(await send(refused, waiting)).toMatchObject({ code: 'DUPLICATE_MESSAGE' });
      await deadLetter(canary, waiting, env);
      await new Promise((resolve) => setTimeout(resolve, FLUSH_MS));
    }).finally(() => {
      gateway.mood = 'well';
    });
    return { away, waiting };
  }

  /** A record that MySQL refuses, since its id is another message's. */
  async function deadLetter(canary: string, usedId: string, env: Record<string, string>) {
    const kafka = connectKafka();
    const producer = await createProducer(kafka);
    const db = Database.open({ url: mysql.url, connections: 1, deadlineMs: 5_000 });
    const conflicting = message({ msgId: usedId, content: canary });
    const { content } = await openEncryption(db, env);
    await producer.warmUp([TOPICS.offline]);
    const record = env['ENCRYPTION'] === 'on' ? await content.seal(conflicting) : conflicting;
    await producer.append(TOPICS.offline, {
      key: conflicting.recipientId,
      value: encodeOffline(record, conflicting.recipientId),
    });
    await readUntil(kafka, deadLetterTopic(TOPICS.offline), ({ value }) =>
      value.includes(conflicting.recipientId),
    );
    await producer.close();
    await db.close();
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
      for (const hit of hits) found.add(basename(hit).startsWith('binlog') ? 'binlog' : place);
    }
    return [...found].sort();
  }

  it('with encryption off is found in the files of MySQL, its binary log and Kafka', async () => {
    const canary = unique('canary-in-clear');
    await sendEveryWay(canary, { ENCRYPTION: 'off' });
    expect(await placesWith(canary)).toEqual(['binlog', 'kafka', 'mysql']);
  }, 180_000);

  it('with encryption on is found in no file of any server, though ids are found in all of them', async () => {
    const canary = unique('canary-sealed');
    const { away, waiting } = await sendEveryWay(canary, { ...encryptionOn() });
    expect(await placesWith(canary)).toEqual([]);
    // The same search sees what the same messages left: their ids.
    expect(await placesWith(waiting)).toEqual(
      expect.arrayContaining(['binlog', 'kafka', 'mysql', 'redis']),
    );
    expect(await placesWith(away)).toEqual(expect.arrayContaining(['etcd', 'temporal']));
    await waitFor(
      'the logs',
      1_000,
      async () => (await searchFiles(logs, 'server listens')).hits.length > 0,
    );
  }, 180_000);
});
