/** What legal holds cover, and what it takes to find out, on a database of the test's own. */
import { randomUUID } from 'node:crypto';
import { Database } from '../../../src/activities/mysql/database';
import { GroupStays } from '../../../src/activities/mysql/group-stays';
import { Holds } from '../../../src/activities/mysql/holds';
import { MessageStore } from '../../../src/activities/mysql/message-store';
import { ReadReceipts } from '../../../src/activities/mysql/read-receipts';
import type { HoldKind } from '../../../src/domain/holds';
import { groupConversation } from '../../../src/domain/ids';
import type { SequencedMessage } from '../../../src/domain/message';
import { unique } from '../../support/ids';
import { fillMessages } from '../../support/many-messages';
import { measure } from '../../support/measured';
import { createDatabase } from '../../support/mysql';
import { delivered, message } from '../../support/records';

describe('legal holds', () => {
  let own: Awaited<ReturnType<typeof createDatabase>>;
  let db: Database;
  let store: MessageStore;

  beforeAll(async () => {
    own = await createDatabase();
    db = Database.open({ url: own.url, connections: 1, deadlineMs: 5_000 });
    store = new MessageStore(db, { ttlMs: 600_000 });
  });
  afterAll(async () => {
    await db.close();
    await own.drop();
  });

  async function hold(kind: HoldKind, subject: string) {
    const holds = new Holds(db, Date.now);
    const holdId = randomUUID();
    await holds.place({ holdId, kind, subject, reason: 'a case', placedBy: 'officer' });
    return () => holds.release(holdId, 'officer');
  }
  const toGroup = (groupId: string, senderId = unique('sender')): SequencedMessage => ({
    ...message({ senderId }),
    conversation: groupConversation(groupId),
    recipientId: undefined,
  });
  const storeToGroup = (each: SequencedMessage, recipients: string[] = []) =>
    store.storeOffline([{ message: each, recipients }]);
  const covers = async (holds: Holds, groupId: string) =>
    (await holds.active()).covers(toGroup(groupId));

  const APPEARANCES: [string, (user: string, group: string) => Promise<unknown>][] = [
    ['sent', (user, group) => storeToGroup(toGroup(group, user))],
    [
      'read a message',
      async (user, group) => {
        const read = toGroup(group);
        await storeToGroup(read);
        const receipt = { ...read, readerId: user, deviceId: '', readAt: 1_000 };
        await new ReadReceipts(db, Date.now).recordAll([receipt]);
      },
    ],
    [
      'read up to a message',
      (user, group) => db.execute('INSERT INTO group_reads VALUES (?, ?, 1)', [user, group]),
    ],
    ['were waited for', (user, group) => storeToGroup(toGroup(group), [user])],
    [
      'stayed as a member of a large group',
      async (user, group) => {
        const stays = new GroupStays(db);
        await stays.begin(group);
        await stays.join(group, [{ userId: user, joinedAt: 1_000, presentSince: 0 }]);
      },
    ],
  ];

  test.each(APPEARANCES)(
    'on a user cover what others wrote where they %s, and no other group',
    async (_, appear) => {
      const [user, group, other] = [unique('user'), unique('group'), unique('other')];
      await appear(user, group);
      await appear(unique('somebody'), other);
      const release = await hold('user', user);
      const holds = new Holds(db, Date.now);
      expect([await covers(holds, group), await covers(holds, other)]).toEqual([true, false]);
      await release();
      expect(await covers(holds, group)).toBe(false);
    },
  );

  test.each(APPEARANCES)(
    'on a group forbid the erasure of those who %s, and of no others',
    async (_, appear) => {
      const [user, group, stranger] = [unique('user'), unique('group'), unique('stranger')];
      await appear(user, group);
      await appear(stranger, unique('other'));
      const release = await hold('group', group);
      const holds = new Holds(db, Date.now);
      expect([await holds.onUser(user), await holds.onUser(stranger)]).toEqual([true, false]);
      await release();
    },
  );

  test('on a user or a private conversation forbid the erasure of who only got a message there', async () => {
    const [sender, recipient, stranger] = [unique('sender'), unique('user'), unique('stranger')];
    const sent = delivered({ senderId: sender, recipientId: recipient });
    await store.storeDelivered([sent, delivered({ recipientId: stranger })]);
    const holds = new Holds(db, Date.now);
    for (const [kind, subject] of [
      ['user', sender],
      ['private', sent.message.conversation.key],
    ] as const) {
      const release = await hold(kind, subject);
      expect([await holds.onUser(recipient), await holds.onUser(stranger)]).toEqual([true, false]);
      await release();
    }
  });

  describe('on somebody who sent very much', () => {
    const [prolific, first, late, last] = ['prolific', 'first', 'late', 'last'].map(unique);
    let release: () => Promise<unknown>;
    let measured: ReturnType<typeof measure>;

    beforeAll(async () => {
      await storeToGroup(toGroup(first!, prolific));
      await fillMessages(db, prolific!, { sent: 30_000, received: 0 });
      await db.execute(`UPDATE messages SET conversation_type = 'group', recipient_id = NULL`);
      release = await hold('user', prolific!);
      measured = measure(db);
    });
    afterAll(() => release());

    test('are found by statements of few rows, which go on where they were the next time', async () => {
      const holds = new Holds(db, Date.now);
      await setHighestId(1_000_000);
      expect(await covers(holds, first!)).toBe(true);
      expect(measured.largest()).toBeLessThan(10_000);
      expect(await covers(holds, first!)).toBe(true);
      expect(measured.largest()).toBeLessThan(100);
      await storeToGroup(toGroup(last!, prolific));
      expect(await covers(holds, last!)).toBe(true);
      // One that was being written when the other, of a higher id, was there already.
      await storeToGroup(toGroup(late!, prolific));
      await db.execute('UPDATE messages SET id = 999000 WHERE conversation_key = ?', [late]);
      expect(await covers(holds, late!)).toBe(true);
    });

    test('let the search for what else they cover be given up', async () => {
      const given = AbortSignal.abort();
      await expect(new Holds(db, Date.now).onUser(unique('user'), given)).rejects.toBe(
        given.reason,
      );
    });

    async function setHighestId(id: number): Promise<void> {
      const { msgId } = toGroup(unique('group'));
      await store.storeDelivered([delivered({ msgId })]);
      await db.execute('UPDATE messages SET id = ? WHERE msg_id = ?', [id, msgId]);
      await db.execute(`ALTER TABLE messages AUTO_INCREMENT = ${id + 1}`);
    }
  });
});
