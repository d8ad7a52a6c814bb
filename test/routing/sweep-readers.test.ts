/** The sweep over readers of large groups, on a database of the test's own. */
import { Database } from '../../src/activities/mysql/database';
import { GroupLog } from '../../src/activities/mysql/group-log';
import { GroupReaders } from '../../src/activities/mysql/group-readers';
import { GroupStays } from '../../src/activities/mysql/group-stays';
import { GroupUnread } from '../../src/activities/mysql/group-unread';
import { sleep } from '../../src/activities/sleep';
import { groupConversation } from '../../src/domain/ids';
import { FIRST_READERS, sweepReaders } from '../../src/routing/sweep-readers';
import { people } from '../support/groups';
import { unique } from '../support/ids';
import { createDatabase } from '../support/mysql';
import { message } from '../support/records';

const SECOND = 1_000;
/** A whole second some minutes ago: when the user appeared. */
const T = Math.floor(Date.now() / SECOND) * SECOND - 300 * SECOND;

let own: Awaited<ReturnType<typeof createDatabase>>;
let db: Database;
let readers: GroupReaders;
let stays: GroupStays;
let unread: GroupUnread;

beforeEach(async () => {
  own = await createDatabase();
  db = Database.open({ url: own.url, connections: 4, deadlineMs: 5_000 });
  const options = { ttlMs: 3_600 * SECOND, now: Date.now };
  readers = new GroupReaders(db, options);
  unread = new GroupUnread(db, options);
  stays = new GroupStays(db);
});
afterEach(async () => {
  await db.close();
  await own.drop();
});

async function groupOf(members: readonly string[], presentSince = 0): Promise<string> {
  const groupId = unique('group');
  await stays.begin(groupId);
  await stays.add(
    groupId,
    members.map((userId) => ({ userId, joinedAt: T - 60 * SECOND, presentSince })),
  );
  await stays.activate(groupId, T - 60 * SECOND);
  return groupId;
}

async function send(groupId: string, acceptedAt: number): Promise<string> {
  const sent = { ...message({ acceptedAt }), recipientId: undefined };
  await new GroupLog(db).append(groupId, [{ ...sent, conversation: groupConversation(groupId) }]);
  return sent.msgId;
}

/** A whole sweep at a time; everyone there is has one device, which connected at `connectedAt`. */
async function sweep(at: number, connectedAt: number, start = () => Promise.resolve()) {
  const device = { deviceId: 'phone', gateway: 'g:1', connectedAt: connectedAt / SECOND };
  const requested: string[] = [];
  const deps = {
    readers,
    presence: {
      lookupMany: (userIds: readonly string[]) =>
        Promise.resolve(
          new Map(userIds.map((userId) => [userId, { devices: [device], certain: true }])),
        ),
      registeredUsers: () => Promise.resolve({ userIds: [], next: undefined }),
    },
    requests: {
      start: async (userId: string) => {
        await start();
        requested.push(userId);
      },
    },
    now: () => at,
  };
  for (let after: string | undefined = FIRST_READERS; after !== undefined;) {
    after = (await sweepReaders(deps, after)).next;
  }
  return requested;
}

async function stateOf(userId: string): Promise<{ state: number; since: number } | undefined> {
  const [row] = await db.select<{ state: number; since: number }>(
    'SELECT state, present_since AS since FROM group_readers WHERE user_id = ?',
    [userId],
  );
  return row;
}

/** All that waits, delivered. */
async function deliver(userId: string): Promise<string[]> {
  const items = await unread.readPending(userId, 100);
  const delivered = items.map(({ message: { msgId }, stay, position }) => {
    return { msgId, stay, position, devices: ['phone'], deliveredAt: Date.now() };
  });
  await readers.markDelivered(userId, delivered);
  await readers.settle([userId]);
  return items.map((item) => item.message.msgId);
}

test('who is behind, goes unseen and is back before their delivery gets what came between', async () => {
  const bob = unique('bob');
  const groupId = await groupOf([bob]);
  const before = await send(groupId, T - 5 * SECOND);
  await readers.appear([bob], T);
  const between = await send(groupId, T + 10 * SECOND);

  expect(await sweep(T + 25 * SECOND, T + 15 * SECOND)).toEqual([bob]);
  // Dated anew once: the next sweep finds nothing of the kind.
  const noted = await stateOf(bob);
  expect(noted).toEqual({ state: 1, since: T + 25 * SECOND });
  expect(await sweep(T + 55 * SECOND, T + 15 * SECOND)).toEqual([bob]);
  expect(await stateOf(bob)).toEqual(noted);

  expect(await deliver(bob)).toEqual([before, between]);
});

test('who goes unseen a moment after they came, and is back in a moment, gets what came between', async () => {
  const bob = unique('bob');
  const groupId = await groupOf([bob]);
  await readers.appear([bob], T);
  await readers.settle([bob]);
  const between = await send(groupId, T + 2_700);
  expect(await sweep(T + 25 * SECOND, T + 3 * SECOND)).toEqual([bob]);
  expect(await deliver(bob)).toEqual([between]);
});

test('who has stayed is left as they are', async () => {
  const bob = unique('bob');
  const groupId = await groupOf([bob]);
  await readers.appear([bob], T + 300);
  await readers.settle([bob]);
  await send(groupId, T + 10 * SECOND);
  expect(await sweep(T + 25 * SECOND, T)).toEqual([]);
  expect(await stateOf(bob)).toEqual({ state: 2, since: T + 300 });
});

test('deliveries of many are asked for at once, not one after another', async () => {
  const members = people(600);
  const groupId = await groupOf(members);
  await send(groupId, T - 5 * SECOND);
  await readers.appear(members, T);
  let [running, most] = [0, 0];
  const requested = await sweep(T + 25 * SECOND, T, async () => {
    most = Math.max(most, (running += 1));
    await sleep(20);
    running -= 1;
  });
  expect(requested.sort()).toEqual([...members].sort());
  expect(most).toBe(32);
}, 60_000);
