/** How the bundle of an export ends: by time, with what is in it, and one writer of several. */
import type { Database } from '../../src/activities/mysql/database';
import { ErasedMessages } from '../../src/activities/mysql/erased-messages';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { exportParts, readBundle, writeBundle, writeSections } from '../support/exports';
import { unique } from '../support/ids';
import { fillMessages } from '../support/many-messages';
import { openDatabase } from '../support/mysql';
import { offline } from '../support/records';

const never = new AbortController().signal;

describe('the bundle of an export', () => {
  let db: Database;
  let store: MessageStore;

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, { ttlMs: 600_000 });
  });
  afterAll(() => db.close());

  test('expires, and is purged in bounded steps that may be repeated', async () => {
    const alice = unique('alice');
    await fillMessages(db, alice, { sent: 10_000, received: 0 });
    let now = Date.now();
    const parts = await exportParts(db, {}, () => now);
    const kept = await writeBundle(parts, unique('bob'));
    now -= 3_600_000;
    const bundleId = await writeBundle(parts, alice);
    now += 3_600_000;
    await expect(readBundle(parts, bundleId)).rejects.toMatchObject({ name: 'BundleGone' });
    for (let step = 0; (await parts.bundles.purgeExpired(now, 1)) > 0; step++) {
      expect(step).toBeLessThan(1_000);
    }
    for (const table of ['export_bundles', 'export_bundle_chunks', 'export_senders']) {
      expect(await db.select(`SELECT 1 FROM ${table} WHERE bundle_id = ?`, [bundleId])).toEqual([]);
    }
    await readBundle(parts, kept);
  });

  test('is removed with the messages in it: those of an erased sender, finished or still being written', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    await store.storeOffline([
      offline({ senderId: bob, recipientId: alice }),
      offline({ senderId: bob, recipientId: carol }),
    ]);
    const parts = await exportParts(db);
    const [ofAlice, ofCarol] = [await writeBundle(parts, alice), await writeBundle(parts, carol)];
    const writing = unique('bundle');
    await parts.writer.begin(writing, alice);
    await parts.writer.write(writing, 'messages', never);
    expect(await parts.bundles.removeWithMessagesOf(bob, [alice])).toBe(2);
    await expect(readBundle(parts, ofAlice)).rejects.toMatchObject({ name: 'BundleGone' });
    await expect(parts.writer.write(writing, 'receipts', never)).rejects.toMatchObject({
      name: 'BundleGone',
    });
    await readBundle(parts, ofCarol);
    expect(await parts.bundles.removeOf(carol)).toBe(1);
    await expect(readBundle(parts, ofCarol)).rejects.toMatchObject({ name: 'BundleGone' });
  });

  test('stores nothing of what is being erased, and does not wait for that to end', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const doomed = offline({ senderId: bob, recipientId: alice, content: 'doomed' });
    const ofErased = offline({ senderId: carol, recipientId: alice, content: 'erased' });
    const kept = offline({ senderId: bob, recipientId: alice, content: 'kept' });
    await store.storeOffline([doomed, ofErased, kept]);
    const { message } = doomed;
    const receipt = { ...message, readerId: alice, deviceId: '', readAt: 1 };
    await new ReadReceipts(db, Date.now).record(receipt);
    const parts = await exportParts(db);
    const bundleId = unique('bundle');
    await parts.writer.begin(bundleId, alice);
    // Begun, both, and no further: something that they need is away.
    await new ErasedMessages(db, Date.now).add(message.msgId, bundleId, Date.now() + 60_000);
    await new ErasureRows(db, Date.now).markAndDestroyKeys(carol);
    await writeSections(parts.writer, bundleId);
    const text = await readBundle(parts, bundleId);
    expect(text).not.toContain(message.msgId);
    const { messages, receipts } = JSON.parse(text) as {
      messages: { content: string; unreadable?: string }[];
      receipts: object[];
    };
    // Stored together, so in the order of their conversations.
    expect(messages.map(({ content, unreadable }) => unreadable ?? content).sort()).toEqual([
      'erased',
      'kept',
    ]);
    expect(receipts).toEqual([]);
    // And goes with neither any more.
    expect(await parts.bundles.removeWithMessagesOf(carol)).toBe(0);
  });

  test('goes on for one writer alone when two attempts write the same bundle', async () => {
    const alice = unique('alice');
    await fillMessages(db, alice, { sent: 2_000, received: 2_000 });
    const parts = await exportParts(db);
    const bundleId = unique('bundle');
    await parts.writer.begin(bundleId, alice);
    const attempts = await Promise.allSettled(
      [parts, await exportParts(db)].map(({ writer }) => writer.write(bundleId, 'messages', never)),
    );
    expect(attempts.some(({ status }) => status === 'fulfilled')).toBe(true);
    await writeSections(parts.writer, bundleId);
    const { messages, total_messages } = JSON.parse(await readBundle(parts, bundleId)) as {
      messages: { msg_id: string }[];
      total_messages: number;
    };
    expect(new Set(messages.map(({ msg_id }) => msg_id)).size).toBe(4_000);
    expect([messages.length, total_messages]).toEqual([4_000, 4_000]);
  });
});
