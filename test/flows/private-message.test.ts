/** RoutePrivateMessage over gRPC, against the real servers. */
import { setTimeout as sleep } from 'node:timers/promises';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

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
  // How fast these answers are is for bench/; here a call that waited longer would have no answer.
  const patience = (): number => system.config.IM_PUSH_DEADLINE_MS + 2_000;

  test('refusing: offline within the deadline, then without being asked at all', async () => {
    // Nothing listens there: connections are refused.
    await expectBreaker(system, '127.0.0.1:1');
  });

  test('accepting and never answering: offline within the deadline, then without being asked', async () => {
    const silent = await startSystem();
    try {
      silent.gateway.mood = 'silent';
      await expectBreaker(silent, silent.gateway.address);
    } finally {
      await silent.close();
    }
  });

  async function expectBreaker(on: TestSystem, address: string): Promise<void> {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await on.gateway.connect(bob, 'phone', address);
    const send = () =>
      on.client.routePrivate(
        {
          msg_id: unique('msg'),
          sender_id: alice,
          recipient_id: bob,
          content: 'hello',
          timestamp: Date.now(),
        },
        patience(),
      );
    await waitFor('pushes to fail', 30_000, async () => {
      expect((await send()).status).toBe('offline');
      return (await pushesOf(on, 'failed')) >= on.config.IM_BREAKER_FAILURES;
    });
    const before = {
      failed: await pushesOf(on, 'failed'),
      open: await pushesOf(on, 'breaker_open'),
    };
    // Well within the two seconds that the breaker stays open.
    const answers = await Promise.all(Array.from({ length: 20 }, send));
    expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 'offline'));
    const refused = (await pushesOf(on, 'breaker_open')) - before.open;
    const tried = (await pushesOf(on, 'failed')) - before.failed;
    expect(refused + tried).toBe(20);
    // One may try when the breaker's time is up.
    expect(tried).toBeLessThanOrEqual(1);
  }
});

async function pushesOf(on: TestSystem, outcome: string): Promise<number> {
  const text = await (await on.http('/metrics')).text();
  const line = new RegExp(`^im_service_pushes_total\\{outcome="${outcome}"\\} (\\d+)$`, 'm');
  return Number(line.exec(text)?.[1] ?? 0);
}
