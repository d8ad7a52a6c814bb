/** Receipts while the worker that publishes them is killed, and Temporal is: one event each, none lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { freePort, ProductProcess } from '../support/processes';
import { series } from '../support/records';
import { ReceiptListener } from '../support/receipts';
import { RestClient } from '../support/rest-client';
import { without } from '../support/stack';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal } from '../support/worker';

const RECEIPTS = 10_000;
/** Of these so many one by one; the rest as a client does that opens a long conversation. */
const SINGLE = 2_000;
const CLIENTS = 40;
const MAX_CALLS = 50;
const TEMPORAL_AWAY_MS = 3_000;

describe('receipts of one sender', () => {
  let system: TestSystem;
  let worker: ProductProcess;
  let temporal: Client;
  let db: Database;
  let topic: ReceiptListener;
  let rest: RestClient;

  beforeAll(async () => {
    const queue = { IM_TEMPORAL_TASK_QUEUE: unique('queue') };
    system = await startSystem({ ...queue, IM_RATE_LIMIT_USER: '0', IM_RATE_LIMIT_ADDRESS: '0' });
    await system.gateway.connect(unique('!ready'), 'phone');
    const port = await freePort();
    worker = new ProductProcess('worker', port, {
      ...queue,
      USER_SERVICE_ADDRESS: system.config.USER_SERVICE_ADDRESS,
      IM_WORKER_HTTP_PORT: String(port),
      // The sweep is what wakes again once Temporal is back.
      IM_SWEEP_INTERVAL_S: '5',
    });
    await worker.start();
    temporal = await connectTemporal(system.config);
    db = await openDatabase();
    topic = await ReceiptListener.start();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  }, 120_000);
  afterAll(async () => {
    await topic.stop();
    await worker.end('SIGTERM');
    await temporal.connection.close();
    await db.close();
    await system.close();
  }, 60_000);

  const calls = async () => {
    const text = await (await system.http('/metrics')).text();
    const counts = [...text.matchAll(/read_receipt_wakes_total\{outcome="(\w+)"\} (\d+)/g)];
    const asked = counts.filter(([, outcome]) => outcome === 'woken' || outcome === 'failed');
    return asked.reduce((sum, [, , count]) => sum + Number(count), 0);
  };

  const readRest = async (sender: string, reader: string) => {
    const body = {
      conversation_type: 'private',
      conversation_id: [sender, reader].sort().join('_'),
      up_to_sequence: RECEIPTS,
    };
    for (let more = true; more;) {
      const answer = await rest.post(reader, '/api/v1/conversations/read', body);
      more = answer.status !== 200 || answer.body.has_more;
    }
  };

  test('10,000, with SIGKILL of the worker and then of Temporal: one event each, none lost, few calls', async () => {
    const [sender, reader] = [unique('sender'), unique('reader')];
    const entries = series(RECEIPTS, reader, sender);
    const store = new MessageStore(db, { ttlMs: 600_000 });
    for (let i = 0; i < RECEIPTS; i += 2_000) await store.storeOffline(entries.slice(i, i + 2_000));
    const before = await calls();
    let next = 0;
    const client = async () => {
      for (let entry = entries[next++]; entry && next <= SINGLE; entry = entries[next++]) {
        const body = { msg_id: entry.message.msgId };
        while ((await rest.post(reader, '/api/v1/messages/read', body)).status !== 200);
      }
    };
    const reading = Promise.all(Array.from({ length: CLIENTS }, client));
    const told = (count: number) =>
      waitFor(`${count} events`, 120_000, () => Promise.resolve(topic.of(sender).length >= count));

    await told(1);
    await worker.end('SIGKILL');
    await worker.start();
    await reading;
    const readingRest = readRest(sender, reader);
    await told(SINGLE + 1);
    await without('temporal', () => sleep(TEMPORAL_AWAY_MS));
    await readingRest;
    await told(RECEIPTS);

    await waitFor('the workflow to end', 120_000, async () => {
      const handle = temporal.workflow.getHandle(`read-receipts/${sender}`);
      const [row] = await db.select<{ left: number }>(
        'SELECT COUNT(*) AS `left` FROM read_receipts WHERE sender_id = ? AND published_at IS NULL',
        [sender],
      );
      return row?.left === 0 && (await handle.describe()).status.name === 'COMPLETED';
    });
    const ids = topic.of(sender).map((event) => event.msg_id);
    expect(new Set(ids).size).toBe(RECEIPTS);
    expect(ids).toHaveLength(RECEIPTS);
    expect((await calls()) - before).toBeLessThanOrEqual(MAX_CALLS);
  }, 300_000);
});
