/** Joins of a large group that are heard of late: what was sent since is not forgotten. */
import type { Database } from '../../../src/activities/mysql/database';
import { GroupLog } from '../../../src/activities/mysql/group-log';
import { GroupReaders } from '../../../src/activities/mysql/group-readers';
import { GroupStays } from '../../../src/activities/mysql/group-stays';
import { groupConversation } from '../../../src/domain/ids';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';
import { message } from '../../support/records';

const NOW = Date.now();

let db: Database;
let stays: GroupStays;
let readers: GroupReaders;

beforeAll(async () => {
  db = await openDatabase();
  stays = new GroupStays(db);
  readers = new GroupReaders(db, { ttlMs: 60_000, now: () => NOW });
});
afterAll(() => db.close());

/** A large group whose only message is five seconds old. */
async function groupWithMessage(): Promise<string> {
  const groupId = unique('group');
  await stays.begin(groupId);
  await stays.activate(groupId, NOW - 60_000);
  const conversation = groupConversation(groupId);
  const sent = { ...message({ acceptedAt: NOW - 5_000 }), conversation, recipientId: undefined };
  await new GroupLog(db).append(groupId, [sent]);
  return groupId;
}

test('who joined before a message and appeared after it is behind', async () => {
  const carol = unique('carol');
  const join = { userId: carol, joinedAt: NOW - 10_000, presentSince: NOW - 1_000 };
  expect(await stays.join(await groupWithMessage(), [join])).toEqual([carol]);
  expect(await readers.settle([carol])).toEqual([carol]);
});

test('so is one who is noted as present already, and as having everything', async () => {
  const carol = unique('carol');
  const first = { userId: carol, joinedAt: NOW - 500, presentSince: NOW - 1_000 };
  expect(await stays.join(await groupWithMessage(), [first])).toEqual([]);
  const second = { userId: carol, joinedAt: NOW - 10_000, presentSince: NOW - 1_000 };
  expect(await stays.join(await groupWithMessage(), [second])).toEqual([carol]);
  expect(await readers.settle([carol])).toEqual([carol]);
});

test('nobody is looked at who was there before they joined, or is away', async () => {
  const [carol, dave] = [unique('carol'), unique('dave')];
  const joins = [
    { userId: carol, joinedAt: NOW - 10_000, presentSince: NOW - 60_000 },
    { userId: dave, joinedAt: NOW - 10_000, presentSince: 0 },
  ];
  expect(await stays.join(await groupWithMessage(), joins)).toEqual([]);
});

test('who appeared after they joined, and before anything was sent, has everything', async () => {
  const carol = unique('carol');
  const join = { userId: carol, joinedAt: NOW - 30_000, presentSince: NOW - 20_000 };
  expect(await stays.join(await groupWithMessage(), [join])).toEqual([carol]);
  expect(await readers.settle([carol])).toEqual([]);
  expect(await db.select('SELECT state FROM group_readers WHERE user_id = ?', [carol])).toEqual([
    { state: 2 },
  ]);
});
