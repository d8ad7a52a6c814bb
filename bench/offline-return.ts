/**
 * How long after a user appears in the registry the message that waited is pushed (issue: within 2 s
 * at p99 over 200 trials), and how fast an inbox of 500 drains. `npm run bench -- offline-return`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ImClient } from '../test/support/im-client';
import { unique } from '../test/support/ids';
import { waitFor } from '../test/support/wait';
import { startBenchSystem } from './harness/system';

const TRIALS = 200;
/** Users who come back at about the same time. */
const AT_ONCE = 5;
const INBOX = 500;

async function main(): Promise<void> {
  const system = await startBenchSystem();
  const client = new ImClient(system.grpcPort);
  const send = (recipientId: string): Promise<{ status: string }> =>
    client.routePrivate({
      msg_id: unique('msg'),
      sender_id: 'bench-sender',
      recipient_id: recipientId,
      content: 'it waited',
      timestamp: Date.now(),
    });
  try {
    const trial = async (): Promise<number> => {
      const user = unique('user');
      const { status } = await send(user);
      if (status !== 'offline') throw new Error(`the message was ${status}`);
      // Stored before the user comes back: what is measured is the delivery.
      await sleep(1_000);
      const appeared = performance.now();
      await system.gateway.connect(user, 'phone');
      await system.gateway.received(user, 1, 30_000);
      return performance.now() - appeared;
    };
    for (let i = 0; i < AT_ONCE; i++) await trial();
    const times: number[] = [];
    while (times.length < TRIALS) {
      times.push(...(await Promise.all(Array.from({ length: AT_ONCE }, trial))));
    }
    times.sort((a, b) => a - b);
    const at = (share: number): string => (times[Math.ceil(share * TRIALS) - 1] ?? 0).toFixed(0);
    console.log(`appear → pushed, ${TRIALS} trials, ${AT_ONCE} users at once:`);
    console.log(`  p50 ${at(0.5)} ms, p90 ${at(0.9)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms`);
    console.log(`inbox of ${INBOX}: drained in ${(await drain()).toFixed(0)} ms`);
  } finally {
    client.close();
    await system.close();
  }

  async function drain(): Promise<number> {
    const user = unique('user');
    for (let i = 0; i < INBOX; i += 50) {
      await Promise.all(Array.from({ length: 50 }, () => send(user)));
    }
    await sleep(3_000);
    const began = performance.now();
    await system.gateway.connect(user, 'phone');
    await system.gateway.received(user, INBOX, 60_000);
    const elapsed = performance.now() - began;
    const numbers = system.gateway.pushesOf(user).map((push) => push.sequence_number);
    await waitFor('no more', 5_000, () => Promise.resolve(numbers.length === INBOX));
    return elapsed;
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
