import { Envelopes } from '../../src/activities/encryption/envelope';
import type { KeyProvider } from '../../src/activities/encryption/key-provider';
import { UserKeys } from '../../src/activities/encryption/user-keys';
import type { Database, Queryable } from '../../src/activities/mysql/database';
import { Inbox } from '../../src/activities/mysql/inbox';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { NOBODY_ERASED } from '../../src/domain/erasure';
import { decodeOffline, encodeOffline } from '../../src/domain/records';
import { ContentKeys } from '../../src/routing/content-keys';
import { countUnreadable, encryptionOn, openEncryption } from '../support/encryption';
import type { TestEncryption } from '../support/encryption';
import { log } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { unique } from '../support/ids';
import { message } from '../support/records';

describe('stored content', () => {
  const env = encryptionOn('master');
  let db: Database;
  let encryption: TestEncryption;
  let content: ContentKeys;

  beforeAll(async () => (db = await openDatabase()));
  afterAll(() => db.close());
  beforeEach(async () => {
    encryption = await openEncryption(db, env);
    content = encryption.content;
  });

  /** By way of Kafka's record and MySQL's row, as the service stores it. */
  const store = async (stored: ReturnType<typeof message>) => {
    const entry = decodeOffline(encodeOffline(stored, stored.recipientId));
    await new MessageStore(db, { ttlMs: 60_000 }).storeOffline([entry]);
    return stored;
  };
  const read = async (userId: string) =>
    (await new Inbox(db).readPending(userId, 100, Date.now())).map((item) => item.message);

  it('is a ciphertext in the record and in the row, and comes back as it was', async () => {
    const original = message({ content: 'canary 👍🏽' });
    const sealed = await content.seal(original);
    expect(encodeOffline(sealed, original.recipientId)).not.toContain('canary');
    await store(sealed);
    const [row] = await db.select<{ content: string; content_encoding: string }>(
      'SELECT content, content_encoding FROM messages WHERE msg_id = ?',
      [original.msgId],
    );
    expect(row).toMatchObject({ content_encoding: 'jwe' });
    expect(row?.content).not.toContain('canary');
    const [opened] = await content.open(await read(original.recipientId));
    expect(opened).toEqual({ ...original, encoding: 'plain' });
  });

  it('stays readable whenever encryption is turned on or off, even if it looks like a ciphertext', async () => {
    const recipientId = unique('user');
    const sealed = await store(await content.seal(message({ recipientId, content: 'sealed' })));
    const lookalike = await store(message({ recipientId, content: sealed.content }));
    const nested = await store(
      await content.seal(message({ recipientId, content: sealed.content })),
    );
    for (const ENCRYPTION of ['on', 'off']) {
      const reader = await openEncryption(db, { ...env, ENCRYPTION });
      const opened = await reader.content.open(await read(recipientId));
      expect(opened.map((o) => o.content)).toEqual(['sealed', lookalike.content, sealed.content]);
      expect(opened.map((o) => o.msgId)).toEqual([sealed.msgId, lookalike.msgId, nested.msgId]);
    }
  });

  it('that was moved or changed is reported, counted and not shown; the page loads', async () => {
    const recipientId = unique('user');
    const [first, second, third, fourth] = await Promise.all(
      ['one', 'two', 'three', 'four'].map((text) =>
        content.seal(message({ recipientId, content: text })),
      ),
    );
    const page = [
      first!,
      { ...second!, content: first!.content },
      { ...third!, content: third!.content.slice(0, -3) + 'AAA' },
      { ...fourth!, content: 'not a ciphertext' },
    ];
    const opened = await content.open(page);
    expect(opened.map((o) => [o.content, o.unreadable])).toEqual([
      ['one', undefined],
      ['', 'tampered'],
      ['', 'tampered'],
      ['', 'tampered'],
    ]);
    expect(await countUnreadable(encryption.metrics, 'tampered')).toBe(3);
  });

  it('that passes for a text in clear is reported and not shown', async () => {
    const sealed = await content.seal(message({ content: 'secret' }));
    await store(sealed);
    await db.execute("UPDATE messages SET content_encoding = 'plain' WHERE msg_id = ?", [
      sealed.msgId,
    ]);
    const opened = await content.open(await read(sealed.recipientId));
    expect(opened.map((o) => [o.content, o.unreadable])).toEqual([['', 'tampered']]);
  });

  it('is unreadable once the keys of its sender are destroyed, and others are not', async () => {
    const recipientId = unique('user');
    const gone = await content.seal(message({ recipientId, content: 'gone' }));
    const kept = await content.seal(message({ recipientId, content: 'kept' }));
    expect(await encryption.rows.destroy(gone.senderId)).toBe(1);
    const reader = await openEncryption(db, env);
    const opened = await reader.content.open([gone, kept]);
    expect(opened.map((o) => [o.content, o.unreadable])).toEqual([
      ['', 'keyless'],
      ['kept', undefined],
    ]);
    expect(await countUnreadable(reader.metrics, 'keyless')).toBe(1);
  });

  describe('when the holder of the master keys does not answer', () => {
    /** Another process, whose provider fails for as long as `away` says so. */
    const withProvider = async (away: (attempt: number) => boolean, budgetMs: number) => {
      const { provider: local, rows, metrics } = await openEncryption(db, env);
      let attempts = 0;
      const ask = <T>(work: () => Promise<T>) =>
        away(++attempts) ? Promise.reject(new Error('connect ECONNREFUSED')) : work();
      const provider: KeyProvider = {
        currentKeyId: local.currentKeyId,
        wrap: (key, context) => ask(() => local.wrap(key, context)),
        unwrap: (key, context) => ask(() => local.unwrap(key, context)),
      };
      const envelopes = new Envelopes();
      const keys = new UserKeys({
        rows,
        provider,
        importKey: (bytes) => envelopes.importKey(bytes),
        cacheMax: 10,
        cacheTtlMs: 60_000,
        maxAgeMs: 86_400_000,
        now: Date.now,
        erased: NOBODY_ERASED,
        metrics,
      });
      return new ContentKeys({ keys, envelopes, budgetMs, metrics, log });
    };

    it('a message is refused with ENCRYPTION_ERROR after several attempts, and so is a page', async () => {
      const sealed = await content.seal(message());
      let asked = 0;
      const lost = await withProvider((attempt) => (asked = attempt) > 0, 300);
      const refused = { code: 'ENCRYPTION_ERROR' };
      await expect(lost.seal(message())).rejects.toMatchObject(refused);
      expect(asked).toBeGreaterThan(1);
      // Not as "keyless": the key is there, and will be again.
      await expect(lost.open([sealed])).rejects.toMatchObject(refused);
    });

    it('and then does, within the budget, nothing is lost', async () => {
      const slow = await withProvider((attempt) => attempt <= 2, 5_000);
      const sealed = await slow.seal(message({ content: 'in the end' }));
      expect((await content.open([sealed]))[0]?.content).toBe('in the end');
    });
  });

  describe('when MySQL does not give keys', () => {
    const failing: Queryable = {
      select: () => Promise.reject(new Error('down')),
      execute: () => Promise.reject(new Error('down')),
    };

    it('a message is refused with ENCRYPTION_ERROR after the retry budget, never left in clear', async () => {
      const down = await openEncryption(failing, { ...env, IM_KEY_DEADLINE_MS: '300' });
      const began = Date.now();
      await expect(down.content.seal(message())).rejects.toMatchObject({
        code: 'ENCRYPTION_ERROR',
      });
      expect(Date.now() - began).toBeLessThan(1_000);
      const { values } = await down.metrics.keyFailures.get();
      expect(values[0]?.value).toBeGreaterThan(1);
    });

    it('a page is refused for now: its messages are not reported as lost', async () => {
      const sealed = await content.seal(message());
      const down = await openEncryption(failing, { ...env, IM_KEY_DEADLINE_MS: '100' });
      const opening = down.content.open([sealed]);
      await expect(opening).rejects.toMatchObject({ code: 'ENCRYPTION_ERROR' });
    });

    it('one that never answers costs no more than the budget', async () => {
      const silent: Queryable = {
        select: () => new Promise(() => undefined),
        execute: () => new Promise(() => undefined),
      };
      const hung = await openEncryption(silent, { ...env, IM_KEY_DEADLINE_MS: '200' });
      const began = Date.now();
      await expect(hung.content.seal(message())).rejects.toMatchObject({
        code: 'ENCRYPTION_ERROR',
      });
      expect(Date.now() - began).toBeLessThan(1_000);
    });
  });
});
