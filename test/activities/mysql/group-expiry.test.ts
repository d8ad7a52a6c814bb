/** What is purged of large groups, in a database of its own: the purge is about everyone's. */
import { Database } from '../../../src/activities/mysql/database';
import { GroupExpiry } from '../../../src/activities/mysql/group-expiry';
import { GroupLog } from '../../../src/activities/mysql/group-log';
import { GroupStays } from '../../../src/activities/mysql/group-stays';
import { GroupUnread } from '../../../src/activities/mysql/group-unread';
import { groupConversation } from '../../../src/domain/ids';
import { unique } from '../../support/ids';
import { createDatabase } from '../../support/mysql';
import { message } from '../../support/records';

const TTL_MS = 10_000;
const NOW = Date.now();

describe('what is past its time in large groups', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let expiry: GroupExpiry;
  let unread: GroupUnread;

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 4, deadlineMs: 5_000 });
    expiry = new GroupExpiry(db, { ttlMs: TTL_MS });
    unread = new GroupUnread(db, { ttlMs: TTL_MS, now: () => NOW });
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
  });

  async function groupOf(members: readonly string[]): Promise<string> {
    const groupId = unique('group');
    const stays = new GroupStays(db);
    await stays.begin(groupId);
    const first = members.map((userId) => ({ userId, joinedAt: 0, presentSince: 0 }));
    await stays.add(groupId, first);
    await stays.activate(groupId, NOW);
    return groupId;
  }

  async function append(groupId: string, ages: readonly number[]): Promise<string[]> {
    const messages = ages.map((age, i) => ({
      ...message({ acceptedAt: NOW - age, sequenceNumber: i + 1 }),
      conversation: groupConversation(groupId),
      recipientId: undefined,
    }));
    await new GroupLog(db).append(groupId, messages);
    return messages.map(({ msgId }) => msgId);
  }

  test('goes in bounded batches, the oldest first; what waits and the history stay', async () => {
    const bob = unique('bob');
    const groupId = await groupOf([bob]);
    const ids = await append(groupId, [30_000, 40_000, 20_000, 9_000, 0]);
    expect(await unread.count(bob)).toBe(2);
    expect(await expiry.purgeExpired(NOW, 2)).toBe(2);
    expect(await db.select('SELECT msg_id FROM group_log ORDER BY position')).toEqual(
      ids.slice(2).map((msg_id) => ({ msg_id })),
    );
    expect(await expiry.purgeExpired(NOW, 2)).toBe(1);
    expect(await expiry.purgeExpired(NOW, 2)).toBe(0);
    const waiting = await unread.readPending(bob, 10);
    expect(waiting.map((item) => item.message.msgId)).toEqual(ids.slice(3));
    expect(await db.select('SELECT 1 FROM messages WHERE msg_id IN (?)', [ids])).toHaveLength(5);
    // The log goes on where it was: a reader's position never comes to mean another message.
    const [next] = await append(groupId, [0]);
    const places = await db.select('SELECT position FROM group_log WHERE msg_id = ?', [next]);
    expect(places).toEqual([{ position: 6 }]);
    expect(await unread.count(bob)).toBe(3);
  });

  test('goes once, however many purge at the same time', async () => {
    const groupId = await groupOf([unique('bob')]);
    await append(
      groupId,
      Array.from({ length: 40 }, () => 20_000),
    );
    const counts = await Promise.all(Array.from({ length: 4 }, () => expiry.purgeExpired(NOW, 15)));
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(40);
  });

  test('a stay that ended goes with the last that it was for; one that lasts, stays', async () => {
    const [bob, carol] = [unique('bob'), unique('carol')];
    const groupId = await groupOf([bob, carol]);
    await new GroupStays(db).leave(groupId, [
      { groupId, userId: bob, type: 'leave', at: NOW - 5_000 },
    ]);
    const staying = () =>
      db.select<{ user_id: string }>(
        'SELECT user_id FROM group_memberships WHERE group_id = ? ORDER BY user_id',
        [groupId],
      );
    expect(await expiry.purgeExpired(NOW, 100)).toBe(0);
    expect(await staying()).toHaveLength(2);
    expect(await expiry.purgeExpired(NOW + 6_000, 100)).toBeGreaterThanOrEqual(1);
    expect(await staying()).toEqual([{ user_id: carol }]);
  });
});
