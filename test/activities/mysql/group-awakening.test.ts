/** A message of a large group that is stored after members have appeared. */
import type { Database } from '../../../src/activities/mysql/database';
import { GroupLog } from '../../../src/activities/mysql/group-log';
import { GroupReaders } from '../../../src/activities/mysql/group-readers';
import { GroupStays } from '../../../src/activities/mysql/group-stays';
import { GroupUnread } from '../../../src/activities/mysql/group-unread';
import { groupConversation } from '../../../src/domain/ids';
import { people } from '../../support/groups';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';
import { message } from '../../support/records';

const NOW = Date.now();
/** More than are told at once. */
const MEMBERS = 2_345;

let db: Database;

beforeAll(async () => {
  db = await openDatabase();
});
afterAll(() => db.close());

test('is for all of them, however many, also when they go before a sweep comes by', async () => {
  const stays = new GroupStays(db);
  const readers = new GroupReaders(db, { ttlMs: 60_000, now: () => NOW });
  const members = people(MEMBERS);
  const groupId = unique('group');
  await stays.begin(groupId);
  const presentSince = NOW - 1_000;
  await stays.add(
    groupId,
    members.map((userId) => ({ userId, joinedAt: NOW - 60_000, presentSince })),
  );
  await stays.activate(groupId, NOW - 50_000);

  const late = {
    ...message({ acceptedAt: NOW - 5_000 }),
    conversation: groupConversation(groupId),
    recipientId: undefined,
  };
  const { awoken } = await new GroupLog(db).append(groupId, [late]);

  expect(members).toEqual(expect.arrayContaining([...awoken]));
  expect(awoken).toHaveLength(1_000);
  const [row] = await db.select<{ n: number }>(
    `SELECT COUNT(*) AS n FROM group_readers r JOIN group_memberships g ON g.user_id = r.user_id
     WHERE g.group_id = ? AND r.state = 1`,
    [groupId],
  );
  expect(row?.n).toBe(MEMBERS);
  const last = [...members].sort().at(-1) as string;
  await readers.vanish(last, NOW);
  const unread = new GroupUnread(db, { ttlMs: 60_000, now: () => NOW });
  expect((await unread.readPending(last, 10)).map((item) => item.message.msgId)).toEqual([
    late.msgId,
  ]);
}, 60_000);
