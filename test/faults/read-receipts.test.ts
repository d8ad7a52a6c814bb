/** Receipts while the worker that publishes them is killed, and Temporal is: one event each, none lost. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { WAKE_PAUSE_MS } from '../../src/domain/receipt-workflow';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { Product } from '../support/product';
import { readOneByOne, ReceiptListener, wakesAsked } from '../support/receipts';
import { series } from '../support/records';
import { without } from '../support/stack';
import { testConfig } from '../support/system';
import { waitFor } from '../support/wait';
import { connectTemporal } from '../support/worker';

const RECEIPTS = 10_000;
const CONNECTIONS = 40;
const MAX_CALLS = 50;
const TEMPORAL_AWAY_MS = 3_000;

describe('receipts of one sender', () => {
  let product: Product;
  let temporal: Client;
  let db: Database;
  let topic: ReceiptListener;

  beforeAll(async () => {
    // Processes of their own: as fast as they are in use.
    product = await Product.start({
      IM_TEMPORAL_TASK_QUEUE: unique('queue'),
      IM_RATE_LIMIT_USER: '0',
      IM_RATE_LIMIT_ADDRESS: '0',
      // The sweep is what wakes again once Temporal is back.
      IM_SWEEP_INTERVAL_S: '5',
    });
    temporal = await connectTemporal(testConfig());
    db = await openDatabase();
    topic = await ReceiptListener.start();
  }, 120_000);
  afterAll(async () => {
    await topic.stop();
    await product.close();
    await temporal.connection.close();
    await db.close();
  }, 60_000);

  test('10,000 one by one, with SIGKILL of the worker and then of Temporal: one event each, none lost, few calls', async () => {
    const { worker, httpPort, workerPort } = product;
    const [sender, reader] = [unique('sender'), unique('reader')];
    const entries = series(RECEIPTS, reader, sender);
    const store = new MessageStore(db, { ttlMs: 600_000 });
    for (let i = 0; i < RECEIPTS; i += 2_000) await store.storeOffline(entries.slice(i, i + 2_000));
    const msgIds = entries.map(({ message }) => message.msgId);
    const began = Date.now();
    const told = (count: number) =>
      waitFor(`${count} events`, 120_000, () => Promise.resolve(topic.of(sender).length >= count));

    const first = readOneByOne(httpPort, reader, msgIds.slice(0, RECEIPTS / 2), CONNECTIONS);
    await told(1);
    await worker.end('SIGKILL');
    const restarted = worker.start();
    await first;
    const second = readOneByOne(httpPort, reader, msgIds.slice(RECEIPTS / 2), CONNECTIONS);
    await restarted;
    await without('temporal', () => sleep(TEMPORAL_AWAY_MS));
    await second;
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
    // Those of the worker that was killed are not known any more; it had a second.
    const calls = (await wakesAsked(httpPort)) + (await wakesAsked(workerPort));
    expect(calls).toBeGreaterThan(0);
    // One a window; more than these only on a machine that needs longer.
    const windows = (Date.now() - began) / WAKE_PAUSE_MS;
    expect(calls).toBeLessThanOrEqual(Math.max(MAX_CALLS, windows + 5));
  }, 300_000);
});
