/** RoutePrivateMessage over gRPC, against the real servers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

let system: TestSystem;
beforeAll(async () => (system = await startSystem()));
afterAll(() => system.close());

describe('a private message', () => {
  test('reaches every device of a user who is online', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    await system.gateway.connect(bob, 'laptop');
    const msgId = unique('msg');
    const answer = await system.send(alice, bob, 'Hello! 👋', msgId);
    expect(answer).toMatchObject({ success: true, status: 'delivered', error_message: '' });
    expect(answer.sequence_number).toBeGreaterThan(0);
    const pushes = await system.gateway.received(bob, 2);
    expect(pushes.map((push) => push.device_id).sort()).toEqual(['laptop', 'phone']);
    expect(pushes[0]).toMatchObject({
      msg_id: msgId,
      sender_id: alice,
      content: 'Hello! 👋',
      message_type: 'text/plain',
      sequence_number: answer.sequence_number,
    });
    const status = await system.client.status(msgId);
    expect(status).toMatchObject({ status: 'delivered', read_at: 0 });
    expect([...status.delivered_devices].sort()).toEqual(['laptop', 'phone']);
    expect(status.delivered_at).toBeGreaterThan(Date.now() - 60_000);
  });

  test('to a user who is away is answered "offline" and is pending', async () => {
    const msgId = unique('msg');
    const answer = await system.send(unique('alice'), unique('bob'), 'later', msgId);
    expect(answer).toMatchObject({ success: true, status: 'offline', error_message: '' });
    expect(await system.client.status(msgId)).toMatchObject({ status: 'pending', delivered_at: 0 });
  });

  test('is seen online the moment the registry says so, and offline again after', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    expect((await system.send(alice, bob)).status).toBe('offline');
    await system.gateway.connect(bob, 'phone');
    await sleep(200);
    expect((await system.send(alice, bob)).status).toBe('delivered');
    await system.gateway.disconnect(bob, 'phone');
    await sleep(200);
    expect((await system.send(alice, bob)).status).toBe('offline');
  });

  test('a success of the gateway with a count of 0 reached nobody: offline', async () => {
    const bob = unique('bob');
    await system.gateway.connect(bob, 'phone');
    system.gateway.mood = 'absent';
    const answer = await system.send(unique('alice'), bob).finally(() => {
      system.gateway.mood = 'well';
    });
    expect(answer).toMatchObject({ success: true, status: 'offline' });
  });
});

describe('sequence numbers', () => {
  test('1,000 concurrent sends into one conversation get 1,000 distinct numbers', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const answers = await Promise.all(
      Array.from({ length: 1_000 }, (_, i) =>
        i % 2 ? system.send(alice, bob) : system.send(bob, alice),
      ),
    );
    expect(answers.every((answer) => answer.success)).toBe(true);
    expect(new Set(answers.map((answer) => answer.sequence_number)).size).toBe(1_000);
  });

  test('sequential sends get strictly increasing numbers', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    let last = 0;
    for (let i = 0; i < 100; i++) {
      const { sequence_number: number } = await system.send(alice, bob);
      expect(number).toBeGreaterThan(last);
      last = number;
    }
  });

  test('pushes of one conversation arrive in sequence order under concurrency', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    await Promise.all(Array.from({ length: 300 }, () => system.send(alice, bob)));
    const numbers = (await system.gateway.received(bob, 300)).map((p) => p.sequence_number);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  });

  test('conversations that read the same, a_b with c and a with b_c, count apart', async () => {
    const tail = unique('x');
    const [one, two] = [await system.send(`${tail}_b`, 'zc'), await system.send(tail, 'b_zc')];
    expect([one.sequence_number, two.sequence_number]).toEqual([1, 1]);
  });
});

describe('a repeated msg_id', () => {
  test('50 times at once: one message, one number, 50 coherent answers', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    await system.gateway.connect(bob, 'phone');
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => system.send(alice, bob, 'once', msgId)),
    );
    expect(new Set(answers.map((answer) => answer.sequence_number)).size).toBe(1);
    expect(answers.every((answer) => answer.success && answer.status === 'delivered')).toBe(true);
    expect(answers.filter((answer) => answer.code === 'DUPLICATE_MESSAGE')).toHaveLength(49);
    expect(answers.filter((answer) => answer.error_message === '')).toHaveLength(1);
    expect(system.gateway.pushesOf(bob)).toHaveLength(1);
  });

  test('with other content is refused as DUPLICATE_MESSAGE', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    await system.send(alice, bob, 'first', msgId);
    const answer = await system.send(alice, bob, 'second', msgId);
    expect(answer).toMatchObject({ success: false, status: 'failed', code: 'DUPLICATE_MESSAGE' });
    expect(answer.error_message).toMatch(/^DUPLICATE_MESSAGE: /);
  });

  test('of another sender is refused, and tells nothing of the first', async () => {
    const [bob, msgId] = [unique('bob'), unique('msg')];
    await system.send(unique('alice'), bob, 'same', msgId);
    const answer = await system.send(unique('eve'), bob, 'same', msgId);
    expect(answer).toMatchObject({ success: false, code: 'DUPLICATE_MESSAGE', sequence_number: 0 });
  });

  test('of a message that waited keeps its answer', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    const first = await system.send(alice, bob, 'wait', msgId);
    await system.gateway.connect(bob, 'phone');
    const again = await system.send(alice, bob, 'wait', msgId);
    expect(again).toMatchObject({
      success: true,
      status: 'offline',
      sequence_number: first.sequence_number,
      code: 'DUPLICATE_MESSAGE',
    });
  });
});

describe('a gateway that does not work', () => {
  test('refusing: offline at once, and within 20 ms once the breaker is open', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    // A port that was free a moment ago: connections are refused.
    await system.gateway.connect(bob, 'phone', '127.0.0.1:1');
    for (let i = 0; i < 3; i++) {
      const { elapsed, answer } = await timed(() => system.send(alice, bob));
      expect(answer.status).toBe('offline');
      expect(elapsed).toBeLessThan(system.config.IM_PUSH_DEADLINE_MS + 200);
    }
    const times = [];
    for (let i = 0; i < 20; i++) times.push((await timed(() => system.send(alice, bob))).elapsed);
    expect(median(times)).toBeLessThan(20);
  });

  test('silent: the caller waits for the push deadline at most, and not at all when the breaker is open', async () => {
    const silent = await startSystem();
    try {
      const [alice, bob] = [unique('alice'), unique('bob')];
      silent.gateway.mood = 'silent';
      await silent.gateway.connect(bob, 'phone');
      for (let i = 0; i < silent.config.IM_BREAKER_FAILURES; i++) {
        const { elapsed, answer } = await timed(() => silent.send(alice, bob));
        expect(answer.status).toBe('offline');
        expect(elapsed).toBeLessThan(silent.config.IM_PUSH_DEADLINE_MS + 200);
      }
      const times = [];
      for (let i = 0; i < 20; i++) times.push((await timed(() => silent.send(alice, bob))).elapsed);
      expect(median(times)).toBeLessThan(20);
    } finally {
      await silent.close();
    }
  });
});

async function timed<T>(work: () => Promise<T>): Promise<{ elapsed: number; answer: T }> {
  const began = performance.now();
  const answer = await work();
  return { elapsed: performance.now() - began, answer };
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] as number;
}
