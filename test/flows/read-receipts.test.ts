/** The sender hears of it: from the REST call to the topic, the gateway and the summaries. */
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { WAKE_PAUSE_MS } from '../../src/domain/receipt-workflow';
import { startServer } from '../../src/server';
import type { RunningWorker } from '../../src/worker';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { offline, series } from '../support/records';
import { readOneByOne, ReceiptListener, wakesAsked } from '../support/receipts';
import { RestClient } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal, startTestWorker } from '../support/worker';

const RECEIPTS = 10_000;
/** Of these so many by a request each, over as many connections at once. */
const SINGLE = 3_000;
const CONNECTIONS = 40;

describe('the sender of a message that was read', () => {
  let system: TestSystem;
  let worker: RunningWorker;
  let temporal: Client;
  let db: Database;
  let store: MessageStore;
  let rest: RestClient;
  let topic: ReceiptListener;

  beforeAll(async () => {
    system = await startSystem({
      // No limit: one user reads more in a test than a person does.
      IM_RATE_LIMIT_USER: '0',
      IM_RATE_LIMIT_ADDRESS: '0',
      // A push that is late is not made again, and the machine of the tests is slow.
      IM_PUSH_DEADLINE_MS: '5000',
      IM_ETCD_DEADLINE_MS: '5000',
    });
    worker = await startTestWorker(system.config);
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 600_000 });
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
    topic = await ReceiptListener.start();
    await waitFor('the worker to be ready', 40_000, async () => {
      return (await fetch(`http://127.0.0.1:${worker.httpPort}/ready`)).status === 200;
    });
  }, 90_000);
  afterAll(async () => {
    await topic.stop();
    await worker.close();
    await temporal.connection.close();
    await db.close();
    await system.close();
  });

  /** As a client does that opens a long conversation. */
  const readWhole = async (sender: string, reader: string) => {
    const body = {
      conversation_type: 'private',
      conversation_id: [sender, reader].sort().join('_'),
      up_to_sequence: RECEIPTS,
    };
    for (let more = true; more;) {
      const answer = await rest.post(reader, '/api/v1/conversations/read', body);
      more = answer.status === 503 || answer.body.has_more;
    }
  };

  test('hears it on the topic, on their devices and in the summary', async () => {
    const { message } = offline();
    const { msgId, senderId, recipientId } = message;
    await store.storeOffline([{ message, recipients: [recipientId] }]);
    await system.gateway.connect(senderId, 'phone');
    await system.gateway.connect(senderId, 'laptop');
    const readAt = Date.now();
    const body = { msg_id: msgId, read_at: readAt, device_id: 'tablet' };
    await rest.post(recipientId, '/api/v1/messages/read', body);
    await waitFor('the event', 10_000, () => Promise.resolve(topic.of(senderId).length > 0));
    const told = {
      msg_id: msgId,
      sender_id: senderId,
      reader_id: recipientId,
      conversation_id: message.conversation.id,
      read_at: readAt,
    };
    expect(topic.of(senderId)).toEqual([{ ...told, device_id: 'tablet' }]);
    const pushes = () =>
      system.gateway.receipts.filter((push) => (push as { msg_id: string }).msg_id === msgId);
    await waitFor('the push', 5_000, () => Promise.resolve(pushes().length > 0));
    // Both devices are on one gateway, which is told once.
    expect(pushes()).toEqual([told]);
    const path = `/api/v1/messages/receipts?msg_id=${msgId}`;
    expect((await rest.get(senderId, path)).body.summary).toEqual({
      reader_count: 1,
      first_read_at: readAt,
      last_read_at: readAt,
      first_readers: [recipientId],
    });
    const handle = temporal.workflow.getHandle(`read-receipts/${senderId}`);
    expect(await handle.result()).toEqual({ published: 1 });
  }, 30_000);

  test('hears once by push that somebody has read it, with the first time, whichever device says so later', async () => {
    const acceptedAt = Date.now() - 60_000;
    const entries = series(2, unique('reader'), unique('sender')).map((entry) => ({
      ...entry,
      message: { ...entry.message, acceptedAt },
    }));
    const [first, second] = entries.map(({ message }) => message.msgId);
    const { senderId, recipientId } = entries[0]!.message;
    await store.storeOffline(entries);
    await system.gateway.connect(senderId, 'phone');
    const readAt = Date.now() - 5_000;
    const read = async (msgId: string | undefined, device: string, at: number) => {
      const body = { msg_id: msgId, read_at: at, device_id: device };
      expect((await rest.post(recipientId, '/api/v1/messages/read', body)).status).toBe(200);
    };
    const pushes = () =>
      system.gateway.receipts
        .map((push) => push as { msg_id: string; sender_id: string; read_at: number })
        .filter((push) => push.sender_id === senderId)
        .map((push) => [push.msg_id, push.read_at]);
    await read(first, 'phone', readAt);
    await waitFor('the push', 10_000, () => Promise.resolve(pushes().length > 0));
    await read(first, 'laptop', readAt + 1_000);
    await waitFor('its event', 10_000, () => Promise.resolve(topic.of(senderId).length === 2));
    // Published after the laptop's, and so pushed after it.
    await read(second, 'laptop', readAt + 2_000);
    await waitFor('the other push', 10_000, () =>
      Promise.resolve(pushes().some(([msgId]) => msgId === second)),
    );
    expect(pushes()).toEqual([
      [first, readAt],
      [second, readAt + 2_000],
    ]);
  }, 40_000);

  test('hears of receipts that two servers took, and none is lost between two windows', async () => {
    const second = await startServer(system.config);
    const other = new RestClient(`http://127.0.0.1:${second.httpPort}`);
    const [sender, reader] = [unique('sender'), unique('reader')];
    const entries = series(60, reader, sender);
    await store.storeOffline(entries);
    try {
      // Over more than two windows, so that some fall on their edges.
      for (const [i, { message }] of entries.entries()) {
        const client = i % 2 ? other : rest;
        await client.post(reader, '/api/v1/messages/read', { msg_id: message.msgId });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      await waitFor('all events', 15_000, () => Promise.resolve(topic.of(sender).length >= 60));
      const ids = topic.of(sender).map((event) => event.msg_id);
      expect(ids.sort()).toEqual(entries.map((entry) => entry.message.msgId).sort());
    } finally {
      await second.close();
    }
  }, 60_000);

  test('hears of 10,000 receipts, by a whole conversation and one by one, by at most 50 calls to Temporal', async () => {
    const [sender, reader] = [unique('sender'), unique('reader')];
    const entries = series(RECEIPTS, reader, sender);
    for (let i = 0; i < RECEIPTS; i += 2_000) {
      await store.storeOffline(entries.slice(i, i + 2_000));
    }
    const msgIds = entries.map(({ message }) => message.msgId);
    const { httpPort } = system.server;
    const [before, began] = [await wakesAsked(httpPort), Date.now()];
    await Promise.all([
      readOneByOne(httpPort, reader, msgIds.slice(-SINGLE), CONNECTIONS),
      readWhole(sender, reader),
    ]);
    const seconds = (Date.now() - began) / 1000;
    const distinct = () => new Set(topic.of(sender).map((event) => event.msg_id)).size;
    await waitFor('all events', 60_000, () => Promise.resolve(distinct() === RECEIPTS));
    const handle = temporal.workflow.getHandle(`read-receipts/${sender}`);
    expect(await handle.result()).toMatchObject({ published: expect.any(Number) as number });
    expect(topic.of(sender)).toHaveLength(RECEIPTS);
    const { historyLength } = await handle.describe();
    const wakes = (await wakesAsked(httpPort)) - before;
    console.log(`${seconds} s, ${wakes} wakes, ${historyLength} history events`);
    expect(wakes).toBeLessThanOrEqual(50);
    // One a window, and a few to begin and end with.
    expect(wakes).toBeLessThanOrEqual((seconds * 1000) / WAKE_PAUSE_MS + 5);
  }, 180_000);

  test('hears by the sweep of receipts whose wake was lost', async () => {
    const entry = offline();
    const { msgId, senderId, recipientId, conversation } = entry.message;
    await store.storeOffline([entry]);
    // As a server that died right after the write leaves it.
    const longAgo = Date.now() - 60_000;
    await new ReadReceipts(db, () => longAgo).record({
      msgId,
      senderId,
      conversation,
      readerId: recipientId,
      deviceId: '',
      readAt: longAgo,
    });
    await temporal.schedule.getHandle('im-sweep').trigger();
    await waitFor('the event', 20_000, () => Promise.resolve(topic.of(senderId).length === 1));
  }, 40_000);
});
