/** Numbers and turns of messages, whichever way they came in. */
import { Redis } from 'ioredis';
import { Ceilings } from '../../src/activities/mysql/ceilings';
import type { Database } from '../../src/activities/mysql/database';
import type { RedisConnection } from '../../src/activities/redis/connection';
import { MessageStates } from '../../src/activities/redis/message-states';
import { groupConversation } from '../../src/domain/ids';
import type { Message } from '../../src/domain/message';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';
import { Lanes } from '../../src/routing/lanes';
import { LEASE_MS, Reservations } from '../../src/routing/reservation';
import type { Earlier, Reservation } from '../../src/routing/reservation';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { openRedis } from '../support/redis';
import { testConfig } from '../support/system';

let db: Database;
let connection: RedisConnection;
let control: Redis;
beforeAll(async () => {
  db = await openDatabase();
  connection = await openRedis();
  control = new Redis(testConfig().REDIS_URL);
});
afterAll(async () => {
  await control.quit();
  await connection.close();
  await db.close();
});

function reservationsWith(leaseMs = LEASE_MS): Reservations {
  const metrics = createMetrics();
  return new Reservations({
    states: new MessageStates(connection, leaseMs),
    erased: { has: () => false },
    ceilings: new Ceilings(db, metrics),
    metrics,
    log: createLogger('silent', 'test'),
  });
}

function messagesOf(groupId: string, count: number): Message[] {
  return Array.from({ length: count }, () => ({
    msgId: unique('msg'),
    senderId: 'alice',
    conversation: groupConversation(groupId),
    content: 'hello',
    timestamp: 0,
    metadata: {},
  }));
}

describe('messages of one conversation', () => {
  let reservations: Reservations;
  let passed: number[];
  let messages: [Message, Message, Message];
  beforeEach(async () => {
    reservations = reservationsWith();
    passed = [];
    const [first, ...rest] = messagesOf(unique('group'), 4);
    // Its counter has numbers then.
    await pass(reservations.reserve(first as Message));
    messages = rest as typeof messages;
  });

  /** As routers do. */
  async function pass(asking: Promise<Reservation | Earlier>): Promise<void> {
    const reserved = await asking;
    if (reserved.kind !== 'new') throw new Error('answered before');
    if (reserved.turn.mine) await reserved.turn.mine;
    passed.push(reserved.sequenceNumber);
    reserved.turn.leave();
  }

  /** Redis answers everything that is asked meanwhile at once, and the replies are read together. */
  async function answeredAtOnce(ask: () => Promise<Promise<void>[]>): Promise<void> {
    await control.call('CLIENT', 'PAUSE', '10000', 'WRITE');
    const asked = await ask().finally(() => control.call('CLIENT', 'UNPAUSE'));
    await Promise.all(asked);
  }

  test('pass in the order of their numbers: one alone, and several of another stream after it', async () => {
    const [alone, b, c] = messages;
    await answeredAtOnce(async () => {
      const single = new Lanes(reservations).enter(alone);
      const asked = [pass(single.reserve(alone))];
      await new Promise(setImmediate);
      const lanes = new Lanes(reservations);
      const places = [lanes.enter(b), lanes.enter(c)] as const;
      // The one in front last: both are asked for together.
      return [...asked, pass(places[1].reserve(c)), pass(places[0].reserve(b))];
    });
    expect(passed).toEqual([1, 2, 3, 4]);
  });

  test('pass in the order of their numbers: one of a stream, and a call after it', async () => {
    const [streamed, called, called2] = messages;
    await answeredAtOnce(() => {
      const place = new Lanes(reservations).enter(streamed);
      return Promise.resolve([
        pass(place.reserve(streamed)),
        pass(reservations.reserve(called)),
        pass(reservations.reserve(called2)),
      ]);
    });
    expect(passed).toEqual([1, 2, 3, 4]);
  });
});

test('an id whose first attempt goes on for too long is refused for now, not for good', async () => {
  const [message] = messagesOf(unique('group'), 1) as [Message];
  const first = await reservationsWith(60_000).reserve(message);
  await expect(reservationsWith().reserve(message)).rejects.toMatchObject({
    code: 'SERVICE_UNAVAILABLE',
  });
  await expect(
    reservationsWith().reserve({ ...message, content: 'something else' }),
  ).rejects.toMatchObject({ code: 'DUPLICATE_MESSAGE' });
  expect(first.kind).toBe('new');
}, 20_000);
