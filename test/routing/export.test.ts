/** What an export holds, how it is kept, and how it is handed out: writer and reader on a real MySQL. */
import type { Database } from '../../src/activities/mysql/database';
import { ErasureRows } from '../../src/activities/mysql/erasure-rows';
import { GroupLog } from '../../src/activities/mysql/group-log';
import { GroupStays } from '../../src/activities/mysql/group-stays';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../src/activities/mysql/read-receipts';
import { groupConversation } from '../../src/domain/ids';
import type { SequencedMessage } from '../../src/domain/message';
import { encryptionOn, openEncryption } from '../support/encryption';
import { exportParts, readBundle, writeBundle, writeSections } from '../support/exports';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { fillMessages } from '../support/many-messages';
import { delivered, message, offline } from '../support/records';

interface Exported {
  readonly user_id: string;
  readonly export_date: string;
  readonly messages: readonly Record<string, unknown>[];
  readonly receipts: readonly Record<string, unknown>[];
  readonly devices: readonly Record<string, unknown>[];
  readonly audit: readonly Record<string, unknown>[];
  readonly total_messages: number;
}

const TTL = { ttlMs: 600_000 };

describe('an export', () => {
  let db: Database;
  let store: MessageStore;

  beforeAll(async () => {
    db = await openDatabase();
    store = new MessageStore(db, TTL);
  });
  afterAll(() => db.close());

  const exportOf = async (userId: string, env = {}): Promise<Exported> => {
    const parts = await exportParts(db, env);
    return JSON.parse(await readBundle(parts, await writeBundle(parts, userId))) as Exported;
  };
  const toGroup = (groupId: string, senderId: string): SequencedMessage => ({
    ...message({ senderId }),
    conversation: groupConversation(groupId),
    recipientId: undefined,
  });

  test('has the spec’s fields, for what was sent and what was received', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const sent = offline({
      senderId: alice,
      recipientId: bob,
      content: 'a line\nand "another"',
      metadata: { content_type: 'text/markdown' },
    });
    const got = delivered(
      { senderId: bob, recipientId: alice, content: '你好' },
      1_706_180_400_100,
    );
    await store.storeOffline([sent]);
    await store.storeDelivered([got]);
    const exported = await exportOf(alice);
    expect(exported).toEqual({
      user_id: alice,
      export_date: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/) as string,
      messages: [
        {
          msg_id: sent.message.msgId,
          type: 'sent',
          recipient_id: bob,
          content: 'a line\nand "another"',
          timestamp: sent.message.timestamp,
          created_at: sent.message.acceptedAt,
          sequence_number: 1,
          conversation_type: 'private',
          conversation_id: sent.message.conversation.id,
          metadata: { content_type: 'text/markdown' },
        },
        {
          msg_id: got.message.msgId,
          type: 'received',
          sender_id: bob,
          recipient_id: alice,
          content: '你好',
          timestamp: got.message.timestamp,
          created_at: got.message.acceptedAt,
          sequence_number: 1,
          conversation_type: 'private',
          conversation_id: got.message.conversation.id,
          delivered_at: 1_706_180_400_100,
        },
      ],
      receipts: [],
      devices: [
        { device_id: 'phone', first_seen: 1_706_180_400_100, last_seen: 1_706_180_400_100 },
      ],
      audit: [],
      total_messages: 2,
    });
  });

  test('of someone of whom nothing is held is empty, and whole', async () => {
    const nobody = unique('nobody');
    const exported = await exportOf(nobody);
    expect(exported).toMatchObject({ user_id: nobody, messages: [], total_messages: 0 });
  });

  test('has group messages: those sent, those that wait, and those of stays in large groups, each once', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const [small, large] = [unique('small'), unique('large')];
    const own = toGroup(small, alice);
    const waited = toGroup(small, bob);
    await store.storeOffline([
      { message: own, recipients: [bob] },
      { message: waited, recipients: [alice] },
    ]);
    const stays = new GroupStays(db);
    await stays.begin(large);
    await stays.join(large, [{ userId: alice, joinedAt: 1_000, presentSince: 0 }]);
    await stays.activate(large, 1_000);
    const log = [500, 1_500, 2_500, 3_500].map((acceptedAt, i) => ({
      ...toGroup(large, i === 2 ? alice : bob),
      sequenceNumber: i + 1,
      acceptedAt,
    }));
    await new GroupLog(db).append(large, log);
    await stays.leave(large, [{ userId: alice, groupId: large, type: 'leave', at: 3_000 }]);

    const { messages } = await exportOf(alice);
    const [, during, ofAlice] = log;
    expect(messages.map(({ msg_id, type, recipient_id }) => [msg_id, type, recipient_id])).toEqual([
      [own.msgId, 'sent', small],
      [ofAlice?.msgId, 'sent', large],
      [waited.msgId, 'received', alice],
      [during?.msgId, 'received', alice],
    ]);
  });

  test('has the receipts given and got, and the user’s own devices, not those of others', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const toAlice = delivered({ senderId: bob, recipientId: alice }, 5_000, ['tablet']);
    const toBob = delivered({ senderId: alice, recipientId: bob }, 5_000, ['bobs-phone']);
    await store.storeDelivered([toAlice, toBob]);
    const receipts = new ReadReceipts(db, Date.now);
    const receipt = ({ message: m }: typeof toBob, readerId: string, deviceId: string) => ({
      msgId: m.msgId,
      senderId: m.senderId,
      conversation: m.conversation,
      readerId,
      deviceId,
      readAt: 7_000,
    });
    await receipts.record(receipt(toAlice, alice, 'laptop'));
    await receipts.record(receipt(toBob, bob, 'bobs-laptop'));
    const exported = await exportOf(alice);
    expect(exported.receipts).toMatchObject([
      { msg_id: toAlice.message.msgId, type: 'given', reader_id: alice, device_id: 'laptop' },
      { msg_id: toBob.message.msgId, type: 'received', reader_id: bob, read_at: 7_000 },
    ]);
    expect(exported.devices).toEqual([
      { device_id: 'laptop', first_seen: 7_000, last_seen: 7_000 },
      { device_id: 'tablet', first_seen: 5_000, last_seen: 5_000 },
    ]);
    expect(JSON.stringify(exported)).not.toContain('bobs-');
  });

  test('shows one moment: what comes after its beginning is not in it', async () => {
    const alice = unique('alice');
    const parts = await exportParts(db);
    await store.storeOffline([offline({ senderId: alice, content: 'before' })]);
    const bundleId = unique('bundle');
    await parts.writer.begin(bundleId, alice);
    await store.storeOffline([offline({ senderId: alice, content: 'after' })]);
    await parts.writer.begin(bundleId, alice);
    await writeSections(parts.writer, bundleId);
    const { messages } = JSON.parse(await readBundle(parts, bundleId)) as Exported;
    expect(messages.map(({ content }) => content)).toEqual(['before']);
  });

  test('of 100,000 messages streams as valid JSON and NDJSON, the same whether writing was interrupted or not', async () => {
    const alice = unique('alice');
    await fillMessages(db, alice, { sent: 50_000, received: 50_000 });
    const parts = await exportParts(db);
    const bundleId = unique('bundle');
    await parts.writer.begin(bundleId, alice);
    // Each turn ends after its first page, as if a worker had been stopped there, until half is written.
    const stopped = AbortSignal.abort();
    for (let turn = 0; turn < 20; turn++) await parts.writer.write(bundleId, 'messages', stopped);
    await writeSections((await exportParts(db)).writer, bundleId);

    const text = await readBundle(parts, bundleId);
    const exported = JSON.parse(text) as Exported;
    expect(exported.total_messages).toBe(100_000);
    expect(exported.messages).toHaveLength(100_000);
    expect(new Set(exported.messages.map(({ msg_id }) => msg_id)).size).toBe(100_000);
    const whole = JSON.parse(await readBundle(parts, await writeBundle(parts, alice))) as Exported;
    expect(whole.messages).toEqual(exported.messages);

    const lines = (await readBundle(parts, bundleId, 'ndjson')).trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line) as { record: string });
    expect(records[0]).toMatchObject({ record: 'export', user_id: alice });
    expect(records.filter(({ record }) => record === 'message')).toHaveLength(100_000);
    expect(records.at(-1)).toEqual({ record: 'end', total_messages: 100_000 });
  }, 120_000);

  test('says the same in both forms, whatever looks like the end of a line in a content', async () => {
    const alice = unique('alice');
    const contents = ['\u2028{', '\u2029{"a":1}', '\n{', '\r{', '\u0085{', '{\u2028\n{'].sort();
    await store.storeOffline(contents.map((content) => offline({ senderId: alice, content })));
    const parts = await exportParts(db);
    const bundleId = await writeBundle(parts, alice);
    const lines = (await readBundle(parts, bundleId, 'ndjson')).trimEnd().split('\n');
    const records = lines.map((line) => JSON.parse(line) as { content?: string });
    const inLines = records.flatMap(({ content = [] }) => content);
    expect(inLines.sort()).toEqual(contents);
    const { messages } = JSON.parse(await readBundle(parts, bundleId)) as Exported;
    expect(messages.map(({ content }) => content).sort()).toEqual(contents);
  });

  test.each(['on', 'off'] as const)(
    'lies encrypted in MySQL and is whole again when read, with ENCRYPTION=%s',
    async (mode) => {
      const env = mode === 'on' ? encryptionOn() : {};
      const secret = unique('secret-text').repeat(20);
      const alice = unique('alice');
      await store.storeOffline([offline({ senderId: alice, content: secret })]);
      const parts = await exportParts(db, env);
      const bundleId = await writeBundle(parts, alice);
      const rows = await db.select<{ sealed: Buffer }>(
        'SELECT sealed FROM export_bundle_chunks WHERE bundle_id = ?',
        [bundleId],
      );
      expect(rows).toHaveLength(1);
      const sealed = rows[0]?.sealed ?? Buffer.alloc(0);
      expect(sealed.includes('secret-text')).toBe(false);
      // No gzip either: that begins with these two bytes.
      expect(sealed.includes(Buffer.from([0x1f, 0x8b, 0x08]))).toBe(false);
      expect(await readBundle(parts, bundleId)).toContain(secret);
      // A chunk under another bundle's name is not taken for one of it.
      await db.execute('UPDATE export_bundle_chunks SET section = ? WHERE bundle_id = ?', [
        'receipts',
        bundleId,
      ]);
      await expect(readBundle(parts, bundleId)).rejects.toThrow('does not decrypt');
    },
  );

  test('opens encrypted messages, marks those whose key is gone, and never shows a ciphertext', async () => {
    const env = encryptionOn();
    const encryption = await openEncryption(db, env);
    const [alice, bob] = [unique('alice'), unique('bob')];
    const readable = offline({ senderId: alice, content: 'mine' });
    const lost = offline({ senderId: bob, recipientId: alice, content: 'gone' });
    for (const entry of [readable, lost]) {
      const sealed = await encryption.content.seal(entry.message);
      await store.storeOffline([{ ...entry, message: sealed }]);
    }
    await encryption.rows.destroy(bob);
    const { messages } = await exportOf(alice, env);
    expect(messages).toMatchObject([
      { type: 'sent', content: 'mine' },
      { type: 'received', content: '', unreadable: 'keyless' },
    ]);
  });

  test('is gone when the user’s keys are', async () => {
    const env = encryptionOn();
    const alice = unique('alice');
    const parts = await exportParts(db, env);
    const bundleId = await writeBundle(parts, alice);
    await readBundle(parts, bundleId);
    await (await openEncryption(db, env)).rows.destroy(alice);
    await expect(readBundle(parts, bundleId)).rejects.toMatchObject({ name: 'BundleGone' });
  });

  test('of who was erased ends at once: there is no key for it, nor will there be', async () => {
    const alice = unique('alice');
    await new ErasureRows(db, Date.now).markAndDestroyKeys(alice);
    const parts = await exportParts(db, encryptionOn());
    const begun = parts.writer.begin(unique('bundle'), alice);
    await expect(begun).rejects.toMatchObject({ name: 'BundleGone' });
  });
});
