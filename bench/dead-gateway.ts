/**
 * How long a caller waits whose recipient's gateway accepts and never answers: while the breaker
 * finds out (push deadline, 500 ms) and once it is open (20 ms). `npm run bench -- dead-gateway`.
 */
import { ImClient } from '../test/support/im-client';
import { unique } from '../test/support/ids';
import { startBenchSystem } from './harness/system';

/** Failed pushes in a row that open the breaker, by default. */
const FIRST = 3;
/** Sent one after another, well within the two seconds that the breaker stays open. */
const AFTER = 50;

async function main(): Promise<void> {
  const system = await startBenchSystem();
  const client = new ImClient(system.grpcPort);
  try {
    system.gateway.mood = 'silent';
    const user = unique('user');
    await system.gateway.connect(user, 'phone');
    const send = async (): Promise<number> => {
      const began = performance.now();
      const { status } = await client.routePrivate({
        msg_id: unique('msg'),
        sender_id: 'bench-sender',
        recipient_id: user,
        content: 'is anybody there?',
        timestamp: Date.now(),
      });
      if (status !== 'offline') throw new Error(`the message was ${status}`);
      return performance.now() - began;
    };
    const report = async (name: string, count: number): Promise<void> => {
      const times: number[] = [];
      for (let i = 0; i < count; i++) times.push(await send());
      times.sort((a, b) => a - b);
      const at = (share: number): string => (times[Math.ceil(share * count) - 1] ?? 0).toFixed(1);
      console.log(`${name}: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${count} calls`);
    };
    await report('while the breaker finds out', FIRST);
    await report('once it is open', AFTER);
  } finally {
    client.close();
    await system.close();
  }
}

void main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
