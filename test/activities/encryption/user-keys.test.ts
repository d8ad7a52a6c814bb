import type { Queryable } from '../../../src/activities/mysql/database';
import type { Database } from '../../../src/activities/mysql/database';
import { encryptionOn, openEncryption } from '../../support/encryption';
import { openDatabase } from '../../support/mysql';
import { unique } from '../../support/ids';

describe("a user's data keys", () => {
  let db: Database;
  const env = encryptionOn('master');
  beforeAll(async () => (db = await openDatabase()));
  afterAll(() => db.close());

  const countOf = async (userId: string) =>
    (await db.select('SELECT key_id FROM user_keys WHERE user_id = ?', [userId])).length;

  it('are one, however many processes need it first at once', async () => {
    const userId = unique('user');
    const processes = await Promise.all([1, 2, 3, 4].map(() => openEncryption(db, env)));
    const keys = await Promise.all(
      processes.flatMap(({ keys }) => Array.from({ length: 5 }, () => keys.current(userId))),
    );
    expect(new Set(keys.map((key) => key.keyId)).size).toBe(1);
    expect(await countOf(userId)).toBe(1);
  });

  it('cost no trip to MySQL once they are in memory', async () => {
    let trips = 0;
    const counting: Queryable = {
      select: (sql, values) => (trips++, db.select(sql, values)),
      execute: (sql, values) => (trips++, db.execute(sql, values)),
    };
    const { keys } = await openEncryption(counting, env);
    const userId = unique('user');
    const { keyId } = await keys.current(userId);
    const before = trips;
    for (let i = 0; i < 100; i++) await keys.current(userId);
    await keys.find([keyId]);
    expect(trips).toBe(before);
  });

  it('that are needed together cost two trips, not two each', async () => {
    let trips = 0;
    const counting: Queryable = {
      select: (sql, values) => (trips++, db.select(sql, values)),
      execute: (sql, values) => (trips++, db.execute(sql, values)),
    };
    const { keys } = await openEncryption(counting, env);
    await Promise.all(Array.from({ length: 100 }, () => keys.current(unique('user'))));
    expect(trips).toBeLessThanOrEqual(3);
  });

  it('are followed by a new one after their time, and the old one still opens', async () => {
    const userId = unique('user');
    const first = await (await openEncryption(db, env)).keys.current(userId);
    await db.execute('UPDATE user_keys SET created_at = created_at - ? WHERE user_id = ?', [
      90 * 24 * 3_600_000,
      userId,
    ]);
    const { keys } = await openEncryption(db, env);
    const second = await keys.current(userId);
    expect(second.keyId).not.toBe(first.keyId);
    expect((await keys.current(userId)).keyId).toBe(second.keyId);
    expect((await keys.find([first.keyId])).get(first.keyId)?.userId).toBe(userId);
    expect(await countOf(userId)).toBe(2);
  });

  it('leave memory after a while, and when there are too many', async () => {
    const { keys } = await openEncryption(db, { ...env, IM_KEY_CACHE_MAX: '2' });
    const users = [1, 2, 3].map(() => unique('user'));
    for (const userId of users) await keys.current(userId);
    expect(users.map((userId) => keys.remembered(userId) !== undefined)).toEqual([
      false,
      true,
      true,
    ]);
    const brief = (await openEncryption(db, { ...env, IM_KEY_CACHE_TTL_S: '1' })).keys;
    await brief.current(users[0]!);
    expect(brief.remembered(users[0]!)).toBeDefined();
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    expect(brief.remembered(users[0]!)).toBeUndefined();
  });

  it('lie in MySQL wrapped, and in the row of another user do not unwrap', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const { keys } = await openEncryption(db, env);
    const { keyId } = await keys.current(alice);
    await keys.current(bob);
    await db.execute('DELETE FROM user_keys WHERE user_id = ?', [bob]);
    await db.execute('UPDATE user_keys SET user_id = ? WHERE key_id = ?', [bob, keyId]);
    const other = (await openEncryption(db, env)).keys;
    expect(await other.find([keyId])).toEqual(new Map());
    await expect(other.current(bob)).rejects.toThrow('does not unwrap');
  });
});
