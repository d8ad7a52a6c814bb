/** RouteGroupMessage over gRPC, up to the topic; what becomes of absent members is in group-*.test.ts. */
import { randomUUID } from 'node:crypto';
import { Kafka, logLevel } from 'kafkajs';
import type { Consumer } from 'kafkajs';
import { people, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

let system: TestSystem;
let consumer: Consumer;
const records: { key: string | undefined; value: string }[] = [];

beforeAll(async () => {
  system = await startSystem();
  // A consumer that shares nothing with the product but the broker.
  const kafka = new Kafka({ brokers: system.config.KAFKA_BROKERS, logLevel: logLevel.NOTHING });
  consumer = kafka.consumer({ groupId: `test-${randomUUID()}`, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'group_msg', fromBeginning: true });
  await consumer.run({
    eachMessage: ({ message }) => {
      records.push({ key: message.key?.toString(), value: String(message.value) });
      return Promise.resolve();
    },
  });
}, 60_000);
afterAll(async () => {
  await consumer.disconnect();
  await system.close();
});

async function published(group: TestGroup, count: number): Promise<Record<string, unknown>[]> {
  const found = () => records.filter(({ key }) => key === group.id);
  await waitFor(`${count} records`, 20_000, () => Promise.resolve(found().length >= count));
  return found().map(({ value }) => JSON.parse(value) as Record<string, unknown>);
}

describe('a group message', () => {
  test('is published keyed by its group, in the exact JSON of the contract, with the real member count', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const group = await TestGroup.make(system, [alice, bob, carol]);
    const [msgId, timestamp] = [unique('msg'), Date.now() - 5];
    const answer = await system.client.routeGroup({
      msg_id: msgId,
      sender_id: alice,
      group_id: group.id,
      content: 'grüße 👋',
      timestamp,
      metadata: { content_type: 'text/markdown', trace: 'x' },
    });
    expect(answer).toEqual({
      success: true,
      status: 'published',
      sequence_number: 1,
      member_count: 3,
      error_message: '',
      code: undefined,
    });
    expect(await published(group, 1)).toEqual([
      {
        msg_id: msgId,
        group_id: group.id,
        sender_id: alice,
        content: 'grüße 👋',
        message_type: 'text/markdown',
        sequence_number: 1,
        timestamp,
      },
    ]);
    expect(await system.client.status(msgId)).toMatchObject({ status: 'delivered', read_at: 0 });
  });

  test('of many at once are on the topic in the order of their sequence numbers', async () => {
    const members = people(3);
    const group = await TestGroup.make(system, members);
    await Promise.all(
      Array.from({ length: 200 }, (_, i) => group.send(members[i % 3] as string, `message ${i}`)),
    );
    const numbers = (await published(group, 200)).map((value) => value['sequence_number']);
    expect(numbers).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
  });

  test('sent twice is published once, and answered as it was, naming the repetition', async () => {
    const [alice, msgId] = [unique('alice'), unique('msg')];
    const group = await TestGroup.make(system, [alice, unique('bob')]);
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => group.send(alice, 'once', msgId)),
    );
    expect(
      answers.every((a) => a.success && a.status === 'published' && a.member_count === 2),
    ).toBe(true);
    expect(answers.filter((a) => a.code === 'DUPLICATE_MESSAGE')).toHaveLength(19);
    expect(new Set(answers.map((a) => a.sequence_number)).size).toBe(1);
    await group.send(alice, 'a later one');
    expect(await published(group, 2)).toHaveLength(2);
  });

  test('from someone who is not a member, or to no group, is INVALID_RECIPIENT', async () => {
    const group = await TestGroup.make(system, [unique('alice')]);
    const failed = { success: false, status: 'failed', code: 'INVALID_RECIPIENT', member_count: 0 };
    expect(await group.send(unique('eve'))).toMatchObject(failed);
    const nowhere = await system.client.routeGroup({
      msg_id: unique('msg'),
      sender_id: unique('alice'),
      group_id: unique('nowhere'),
      content: 'x',
    });
    expect(nowhere).toMatchObject(failed);
  });

  test('counts as routed with type="group"', async () => {
    const alice = unique('alice');
    const group = await TestGroup.make(system, [alice]);
    await group.send(alice);
    const metrics = await (await system.http('/metrics')).text();
    expect(metrics).toMatch(/im_service_messages_routed_total\{type="group"\} [1-9]/);
  });
});

describe('membership', () => {
  test('who leaves can send no more, who joins can at once', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const group = await TestGroup.make(system, [alice, bob]);
    expect(await group.send(bob)).toMatchObject({ success: true, member_count: 2 });
    await group.leave(bob);
    await waitFor('the leave to be known', 10_000, async () => !(await group.send(bob)).success);
    expect(await group.send(alice)).toMatchObject({ member_count: 1 });
    const carol = unique('carol');
    await group.join(carol);
    expect(await group.send(carol)).toMatchObject({ success: true });
    await group.join(bob);
    await waitFor('the join to be known', 10_000, async () => (await group.send(bob)).success);
  });

  test('sends to known groups go on without the user service; of unknown groups nothing can be said', async () => {
    const members = people(4);
    const [known, unknown] = [
      await TestGroup.make(system, members),
      await TestGroup.make(system, members),
    ];
    expect(await known.send(members[0] as string)).toMatchObject({ success: true });
    const { directory } = system.users;
    expect(directory.size(known.id)).toBe(4);
    await system.users.stop();
    try {
      // Also by members who have not sent before.
      for (const member of members) {
        expect(await known.send(member)).toMatchObject({ success: true, member_count: 4 });
      }
      expect(await known.send(unique('eve'))).toMatchObject({ code: 'INVALID_RECIPIENT' });
      expect(await unknown.send(members[0] as string)).toMatchObject({
        success: false,
        status: 'failed',
        code: 'SERVICE_UNAVAILABLE',
      });
    } finally {
      await system.restartUsers();
    }
  });
});
