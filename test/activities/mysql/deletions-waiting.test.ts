/** A message that is listed as erased, and waits to be taken out: nothing shows, counts or hands it out. */
import { Conversations } from '../../../src/activities/mysql/conversations';
import type { Database } from '../../../src/activities/mysql/database';
import { ErasedMessages } from '../../../src/activities/mysql/erased-messages';
import { GroupLog } from '../../../src/activities/mysql/group-log';
import { GroupReaders } from '../../../src/activities/mysql/group-readers';
import { GroupStays } from '../../../src/activities/mysql/group-stays';
import { GroupUnread } from '../../../src/activities/mysql/group-unread';
import { Inbox } from '../../../src/activities/mysql/inbox';
import { InboxPages } from '../../../src/activities/mysql/inbox-pages';
import { MessageStore } from '../../../src/activities/mysql/message-store';
import { groupConversation } from '../../../src/domain/ids';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';
import { message, series } from '../../support/records';

const NOW = Date.now();
const CLOCK = { ttlMs: 60_000, now: () => NOW };

let db: Database;
let erased: ErasedMessages;

beforeAll(async () => {
  db = await openDatabase();
  erased = new ErasedMessages(db, Date.now);
});
afterAll(() => db.close());

const list = (msgId: string) => erased.add(msgId, 'job', NOW + 600_000);
const ids = (items: readonly { readonly message: { readonly msgId: string } }[]) =>
  items.map((item) => item.message.msgId);

/** Four private messages that wait for a user, the first and the last of them listed as erased. */
async function waiting() {
  const [alice, bob] = [unique('alice'), unique('bob')];
  const times = [1_000, 2_000, 3_000, 4_000];
  const entries = series(4, bob, alice).map(({ message, recipients }, i) => ({
    message: { ...message, timestamp: times[i]!, acceptedAt: NOW + i },
    recipients,
  }));
  await new MessageStore(db, { ttlMs: 60_000 }).storeOffline(entries);
  const [first, second, third, last] = ids(entries) as [string, string, string, string];
  await list(first);
  await list(last);
  return {
    bob,
    conversation: entries[0]!.message.conversation,
    listed: first,
    left: [second, third],
  };
}

test('a delivery is not handed it', async () => {
  const { bob, left } = await waiting();
  expect(ids(await new Inbox(db).readPending(bob, 10, NOW))).toEqual(left);
});

test('pages of the inbox leave it out, full ones too, and what they count agrees with them', async () => {
  const { bob, left } = await waiting();
  const pages = new InboxPages(db);
  const look = await pages.look(bob, 0, 10, NOW);
  expect(ids(look.items)).toEqual(left);
  expect(look).toMatchObject({ waiting: 2, overdue: 0, hasMore: false });
  expect(ids((await pages.page(bob, 0, 10, NOW)).items)).toEqual(left);
  const first = await pages.look(bob, 0, 1, NOW);
  expect(ids(first.items)).toEqual(left.slice(0, 1));
  expect(first).toMatchObject({ waiting: 2, hasMore: true });
  expect(await pages.count(bob, NOW)).toEqual({ waiting: 2, overdue: 0 });
  expect(await pages.span(bob, NOW)).toEqual({ oldest: 2_000, newest: 3_000 });
});

test('past its time it is overdue, and not left out of the count twice', async () => {
  const { bob, listed } = await waiting();
  await db.execute('UPDATE inbox SET expires_at = 1 WHERE user_id = ? AND msg_id = ?', [
    bob,
    listed,
  ]);
  expect(await new InboxPages(db).count(bob, NOW)).toEqual({ waiting: 2, overdue: 1 });
});

test('neither the history nor the counts of what is unread have it', async () => {
  const { bob, conversation, left } = await waiting();
  const conversations = new Conversations(db);
  const history = await conversations.messagesAfter(bob, { conversation, since: 0 }, 0, 10);
  expect(history.map(({ msgId }) => msgId)).toEqual(left);
  expect(await conversations.unreadPrivate(bob)).toEqual([{ conversation, count: 2 }]);
});

test('in the log of a large group nobody waits for it, and who lacks nothing else has everything', async () => {
  const bob = unique('bob');
  const groupId = unique('group');
  const stays = new GroupStays(db);
  await stays.begin(groupId);
  await stays.add(groupId, [{ userId: bob, joinedAt: 0, presentSince: 0 }]);
  await stays.activate(groupId, NOW - 10_000);
  const conversation = groupConversation(groupId);
  const sent = [1, 2].map((sequenceNumber) => ({
    ...message({ acceptedAt: NOW - 5_000, sequenceNumber }),
    conversation,
    recipientId: undefined,
  }));
  await new GroupLog(db).append(groupId, sent);
  const unread = new GroupUnread(db, CLOCK);
  await list(sent[0]!.msgId);
  expect(ids(await unread.readPending(bob, 10))).toEqual([sent[1]!.msgId]);
  expect(await unread.count(bob)).toBe(1);
  const seen = { conversation, since: 0 };
  expect(await new Conversations(db).countUnreadInGroup(bob, seen)).toBe(1);

  await list(sent[1]!.msgId);
  expect(await unread.span(bob)).toBeUndefined();
  const readers = new GroupReaders(db, CLOCK);
  expect(await readers.appear([bob], NOW)).toEqual([bob]);
  expect(await readers.settle([bob])).toEqual([]);
});
