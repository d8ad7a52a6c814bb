/** What Redis forgets is never believed: numbers neither repeat nor step back, ids stay taken. */
import { Redis } from 'ioredis';
import { unique } from '../support/ids';
import { testStack } from '../support/stack';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker } from '../support/worker';

let one: TestSystem;
let two: TestSystem;
beforeAll(async () => {
  one = await startSystem();
  two = await startSystem();
});
afterAll(async () => {
  await one.close();
  await two.close();
});

/** Sends from both servers in turn until told to stop; keeps the numbers in the order they were given. */
function sendWithoutEnd(alice: string, bob: string) {
  const numbers: number[] = [];
  let failures = 0;
  let stopped = false;
  const ended = (async () => {
    for (let i = 0; !stopped; i++) {
      const answer = await (i % 2 ? one : two).send(alice, bob);
      if (answer.success) numbers.push(answer.sequence_number);
      else failures++;
    }
  })();
  return {
    numbers,
    failures: () => failures,
    more: (count: number) => {
      const enough = numbers.length + count;
      return waitFor(`${count} more numbers`, 30_000, () =>
        Promise.resolve(numbers.length >= enough),
      );
    },
    stop: async () => {
      stopped = true;
      await ended;
    },
  };
}

function expectOnlyUpward(numbers: number[]): void {
  const falls = numbers.filter((number, i) => i > 0 && number <= (numbers[i - 1] as number));
  expect(falls).toEqual([]);
}

test('Redis killed, wiped and started again in the middle of sends: no repeat, no step back', async () => {
  const stack = testStack();
  const sends = sendWithoutEnd(unique('alice'), unique('bob'));
  for (let round = 0; round < 2; round++) {
    await sends.more(50);
    await stack.stop('redis', { signal: 'SIGKILL' });
    await stack.wipe('redis');
    await stack.start('redis');
  }
  await sends.more(50);
  await sends.stop();
  expectOnlyUpward(sends.numbers);
});

test('Redis killed and started with the data it had: no repeat, no step back', async () => {
  const stack = testStack();
  const sends = sendWithoutEnd(unique('alice'), unique('bob'));
  await sends.more(50);
  await stack.stop('redis', { signal: 'SIGKILL' });
  await stack.start('redis');
  await sends.more(50);
  await sends.stop();
  expectOnlyUpward(sends.numbers);
});

test('FLUSHALL on a live Redis, ten times under load: no repeat, no step back, no failure', async () => {
  const redis = new Redis(one.config.REDIS_URL);
  const sends = sendWithoutEnd(unique('alice'), unique('bob'));
  for (let i = 0; i < 10; i++) {
    await sends.more(20);
    await redis.flushall();
  }
  await sends.more(20);
  await sends.stop();
  await redis.quit();
  expectOnlyUpward(sends.numbers);
  expect(sends.failures()).toBe(0);
});

test('a message sent again after Redis was wiped has its original answer, and is not pushed again', async () => {
  const stack = testStack();
  const worker = await startTestWorker(one.config);
  try {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    const [toBob, toCarol] = [unique('msg'), unique('msg')];
    await one.gateway.connect(bob, 'phone');
    await waitFor('bob to be online', 5_000, async () => {
      return (await one.send(alice, bob)).status === 'delivered';
    });
    const delivered = await one.send(alice, bob, 'hi', toBob);
    const kept = await one.send(alice, carol, 'hi', toCarol);
    await stack.stop('redis', { signal: 'SIGKILL' });
    await stack.wipe('redis');
    await stack.start('redis');
    // Until the worker has stored them nobody can know of them.
    await waitFor('both to be stored', 30_000, async () => {
      const known = await Promise.all([toBob, toCarol].map((id) => knownTo(one, id)));
      return known.every(Boolean);
    });
    // MySQL may have told of them before the servers were connected to Redis again.
    await waitFor('both servers to reach Redis', 10_000, async () => {
      const sent = await Promise.all([one, two].map((each) => each.send(bob, carol)));
      return sent.every(({ success }) => success);
    });
    const pushes = one.gateway.pushesOf(bob).length;
    expect(await one.send(alice, bob, 'hi', toBob)).toMatchObject({
      success: true,
      status: 'delivered',
      sequence_number: delivered.sequence_number,
      code: 'DUPLICATE_MESSAGE',
    });
    expect(await two.send(alice, carol, 'hi', toCarol)).toMatchObject({
      success: true,
      status: 'offline',
      sequence_number: kept.sequence_number,
      code: 'DUPLICATE_MESSAGE',
    });
    expect(await two.send(alice, carol, 'something else', toBob)).toMatchObject({
      success: false,
      code: 'DUPLICATE_MESSAGE',
    });
    expect(one.gateway.pushesOf(bob)).toHaveLength(pushes);
    expect(await one.client.status(toBob)).toMatchObject({
      status: 'delivered',
      delivered_devices: ['phone'],
    });
  } finally {
    await worker.close();
  }
}, 120_000);

async function knownTo(system: TestSystem, msgId: string): Promise<boolean> {
  try {
    await system.client.status(msgId);
    return true;
  } catch {
    // NOT_FOUND, or Redis is not back yet; waitFor has the deadline.
    return false;
  }
}

test('FLUSHALL while 500 sends are in flight: all numbers distinct', async () => {
  const redis = new Redis(one.config.REDIS_URL);
  const [alice, bob] = [unique('alice'), unique('bob')];
  const sends = Array.from({ length: 500 }, (_, i) => (i % 2 ? one : two).send(alice, bob));
  for (let i = 0; i < 5; i++) await redis.flushall();
  const numbers = (await Promise.all(sends)).map((answer) => answer.sequence_number);
  await redis.quit();
  expect(new Set(numbers).size).toBe(500);
});
