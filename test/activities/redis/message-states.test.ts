/** Reservations and answers that go to Redis together, each of which is its own affair. */
import type { RedisConnection } from '../../../src/activities/redis/connection';
import { countKey } from '../../../src/activities/redis/inbox-counts';
import { MessageStates } from '../../../src/activities/redis/message-states';
import type { ReserveReply, ReserveRequest } from '../../../src/activities/redis/message-states';
import { privateConversation } from '../../../src/domain/ids';
import { unique } from '../../support/ids';
import { openRedis } from '../../support/redis';

let redis: RedisConnection;
let states: MessageStates;
beforeAll(async () => {
  redis = await openRedis();
  states = new MessageStates(redis, 60_000);
});
afterAll(async () => {
  // Whoever looks at all messages in Redis would find them.
  if (strays.length > 0) await redis.use().redis.unlink(strays);
  await redis.close();
});

/** Keys that are no messages. */
const strays: string[] = [];

async function spoil({ msgId }: ReserveRequest): Promise<void> {
  const key = `msg:${msgId}`;
  strays.push(key);
  await redis.use().redis.set(key, 'not a hash');
}

function request(changes: Partial<ReserveRequest> = {}): ReserveRequest {
  const [alice, bob] = [unique('alice'), unique('bob')];
  return {
    msgId: unique('msg'),
    digest: 'd',
    conversation: privateConversation(alice, bob),
    senderId: alice,
    recipientId: bob,
    owner: unique('owner'),
    ...changes,
  };
}

/** A request in a conversation that has numbers from 1. */
async function numbered(): Promise<ReserveRequest> {
  const asking = request();
  const reply = await states.reserve(asking);
  if (reply.kind !== 'ceiling') throw new Error(`not ${reply.kind}`);
  await states.installBlock(asking.conversation, reply, { floor: 0, ceiling: 10_000 });
  return asking;
}

type AsksForBlock = Extract<ReserveReply, { kind: 'ceiling' }>;

const kindOf = (reply: PromiseSettledResult<ReserveReply>): string =>
  reply.status === 'rejected' ? `rejected: ${String(reply.reason)}` : reply.value.kind;

test('blocks of a turn are taken by the counters that asked for them, and by no others', async () => {
  const asking = [request(), request(), request()] as const;
  const replies = await Promise.all(
    asking.map(async (each) => {
      const reply = await states.reserve(each);
      if (reply.kind !== 'ceiling') throw new Error(`not ${reply.kind}`);
      return reply;
    }),
  );
  const [first, second, third] = replies as [AsksForBlock, AsksForBlock, AsksForBlock];
  const blocks = [
    [asking[0], first, { floor: 0, ceiling: 10_000 }],
    // Asked for by a counter that Redis lost since.
    [asking[1], { ...second, nonce: 'of another life' }, { floor: 0, ceiling: 10_000 }],
    [asking[2], third, { floor: 30_000, ceiling: 40_000 }],
  ] as const;
  await Promise.all(
    blocks.map(([{ conversation }, reply, block]) =>
      states.installBlock(conversation, reply, block),
    ),
  );
  const numbered = await Promise.all(asking.map((each) => states.reserve(each)));
  expect(numbered).toMatchObject([
    { kind: 'new', sequenceNumber: 1 },
    { kind: 'ceiling' },
    { kind: 'new', sequenceNumber: 30_001 },
  ]);
});

test('a counter that is not written as ours are is not believed: it begins anew with a block of its own', async () => {
  const asking = request();
  const key = `seq:private:${asking.conversation.key}`;
  await redis.use().redis.hset(key, { n: 5, ceil: 10_000, gen: 1, nonce: 'of an earlier version' });
  const reply = await states.reserve(asking);
  if (reply.kind !== 'ceiling') throw new Error(`not ${reply.kind}`);
  await states.installBlock(asking.conversation, reply, { floor: 20_000, ceiling: 30_000 });
  expect(await states.reserve(asking)).toMatchObject({ kind: 'new', sequenceNumber: 20_001 });
});

test.each(['routing', 'something else', undefined])(
  'a message in a state that is not ours (%s) was never acknowledged: it is routed, with its number',
  async (state) => {
    const message = await numbered();
    const { msgId, digest } = message;
    const fields = { digest, seq: 7, ...(state && { state }) };
    await redis.use().redis.hset(`msg:${msgId}`, fields);
    expect(await states.reserve(message)).toMatchObject({ kind: 'new', sequenceNumber: 7 });
  },
);

describe('a counter that gives numbers and gets another block', () => {
  async function counting(): Promise<{
    next: () => Promise<ReserveReply>;
    offer: (floor: number) => Promise<void>;
  }> {
    const first = await numbered();
    await states.reserve(first);
    const counter = await states.counter(first.conversation);
    if (!counter) throw new Error('no counter');
    return {
      next: () => states.reserve({ ...first, msgId: unique('msg') }),
      offer: (floor) =>
        states.installBlock(first.conversation, counter, { floor, ceiling: floor + 10_000 }),
    };
  }

  test('goes on without a gap when its block goes on, also in several of them at once', async () => {
    const { next, offer } = await counting();
    await Promise.all([offer(10_000), offer(20_000)]);
    expect(await next()).toMatchObject({ kind: 'new', sequenceNumber: 2, left: 29_998 });
    // One that came late, of what it has already.
    await offer(10_000);
    expect(await next()).toMatchObject({ kind: 'new', sequenceNumber: 3, left: 29_997 });
  });

  test('never gives numbers of a block in between, which a counter in another Redis may give', async () => {
    const { next, offer } = await counting();
    await offer(20_000);
    expect(await next()).toMatchObject({ kind: 'new', sequenceNumber: 20_001, left: 9_999 });
  });
});

test('each message of a turn has its own outcome, also when Redis refuses one of them', async () => {
  const one = await numbered();
  const again = await numbered();
  await states.reserve(again);
  await states.finish({ msgId: again.msgId, owner: again.owner, state: 'offline' });
  const broken = await numbered();
  await spoil(broken);

  const replies = await Promise.allSettled(
    [
      one,
      { ...one, owner: unique('owner') },
      { ...one, digest: 'other' },
      again,
      request(),
      broken,
      { ...one, msgId: unique('msg') },
    ].map((each) => states.reserve(each)),
  );

  expect(replies.map(kindOf)).toEqual([
    'new',
    'busy',
    'conflict',
    'again',
    'ceiling',
    expect.stringContaining('WRONGTYPE'),
    'new',
  ]);
  expect(replies.map((reply) => reply.status === 'fulfilled' && reply.value)).toMatchObject({
    0: { sequenceNumber: 1 },
    3: { sequenceNumber: 1, waited: true },
    6: { sequenceNumber: 2 },
  });
});

test('the same id twice in a turn in which Redis knows none is reserved once', async () => {
  const one = await numbered();
  const replies = await Promise.allSettled(
    [one, { ...one, owner: unique('owner') }, { ...one, digest: 'other' }].map((each) =>
      states.reserve(each),
    ),
  );
  expect(replies.map(kindOf)).toEqual(['new', 'busy', 'conflict']);
});

test('more than one batch of messages in a turn: numbers are unique, in the order of the calls', async () => {
  const first = await numbered();
  const replies = await Promise.all(
    Array.from({ length: 350 }, () => states.reserve({ ...first, msgId: unique('msg') })),
  );
  const numbers = replies.map((reply) => reply.kind === 'new' && reply.sequenceNumber);
  expect(numbers).toEqual(Array.from({ length: 350 }, (_, i) => i + 1));
});

describe('an answer that is recorded late', () => {
  const client = () => redis.use().redis;

  async function reserved() {
    const bob = unique('bob');
    const message = { ...(await numbered()), recipientId: bob };
    await states.reserve(message);
    const count = countKey(bob);
    strays.push(count);
    await client().set(count, 0);
    const offline = () =>
      states.finish({
        msgId: message.msgId,
        owner: message.owner,
        state: 'offline',
        waitsFor: bob,
      });
    return { message, count, offline };
  }

  test('as "offline" leaves a message that was delivered meanwhile delivered, and nothing waits', async () => {
    const { message, count, offline } = await reserved();
    const { msgId } = message;
    await states.markDelivered([{ msgId, deliveredAt: 7, devices: ['phone'] }]);
    expect(await offline()).toBe(false);
    expect(await states.find(msgId)).toMatchObject({
      state: 'delivered',
      deliveredAt: 7,
      devices: ['phone'],
    });
    expect(await client().get(count)).toBe('0');
    // Who sends it again hears what was answered.
    expect(await states.reserve(message)).toMatchObject({ kind: 'again', waited: true });
  });

  test('as "offline" counts as one that waits when it was not delivered, and is delivered later', async () => {
    const { message, count, offline } = await reserved();
    const { msgId } = message;
    await offline();
    expect(await states.find(msgId)).toMatchObject({ state: 'offline', deliveredAt: 0 });
    expect(await client().get(count)).toBe('1');
    await states.markDelivered([{ msgId, deliveredAt: 7, devices: ['phone'] }]);
    expect(await states.find(msgId)).toMatchObject({ state: 'delivered', deliveredAt: 7 });
  });
});

test('answers of a turn are recorded each by itself', async () => {
  const [taken, good, broken] = [await numbered(), await numbered(), await numbered()];
  for (const each of [taken, good, broken]) await states.reserve(each);
  await spoil(broken);
  const outcomes = await Promise.allSettled([
    states.finish({ msgId: taken.msgId, owner: 'somebody else', state: 'failed' }),
    states.finish({ msgId: broken.msgId, owner: broken.owner, state: 'delivered' }),
    states.finish({
      msgId: good.msgId,
      owner: good.owner,
      state: 'delivered',
      deliveredAt: 5,
      devices: ['phone'],
    }),
  ]);
  expect(outcomes).toMatchObject([
    { value: false },
    { reason: { message: expect.stringContaining('WRONGTYPE') as string } },
    { value: true },
  ]);
  expect(await states.find(taken.msgId)).toMatchObject({
    state: expect.stringMatching(`^routing \\d+ ${taken.owner}$`) as string,
  });
  expect(await states.find(good.msgId)).toEqual({
    state: 'delivered',
    deliveredAt: 5,
    readAt: 0,
    devices: ['phone'],
  });
});
