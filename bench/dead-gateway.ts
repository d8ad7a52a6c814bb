/**
 * What a gateway that is silent (accepts, never answers) or dead (nobody listens) costs:
 * - a caller whose recipient is there: while the breaker finds out, and once it is open;
 * - everybody else: p99 of messages to other gateways while one message in ten goes to the bad one,
 *   beside the same load with that gateway well, in turn.
 * `npm run bench -- dead-gateway [--rate N] [--seconds 6] [--rounds 8]`.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { ImClient } from '../test/support/im-client';
import { unique } from '../test/support/ids';
import { freePort } from '../test/support/processes';
import { OUTCOME } from './harness/ledger';
import { ids, KINDS, startLoadSystem } from './harness/load-system';
import type { LoadSystem } from './harness/load-system';
import { describePhase } from './harness/markdown';
import { measureProduct } from './harness/measure';
import { LOAD_DEFAULTS } from './harness/traffic';
import type { LoadSpec } from './harness/traffic';
import { median } from './harness/trend';

/** Failed pushes in a row that open the breaker, by default. */
const FIRST = 3;
/** Sent one after another, well within the two seconds that the breaker stays open. */
const AFTER = 50;
/** Users at each of the gateways that are compared. */
const USERS = 20;
const CALLERS = 50;
/** Of 100 messages, those that go to the gateway in question. */
const ASIDE = 10;

const { values: args } = parseArgs({
  options: {
    rate: { type: 'string' },
    seconds: { type: 'string', default: '6' },
    rounds: { type: 'string', default: '8' },
  },
});

async function main(): Promise<void> {
  const on = await startLoadSystem();
  try {
    await callersOfSilent(on);
    await everybodyElse(on);
  } finally {
    await on.close();
  }
}

async function callersOfSilent({ system }: LoadSystem): Promise<void> {
  const client = new ImClient(system.grpcPort);
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
  await report('to a silent gateway, while the breaker finds out', FIRST);
  await report('to a silent gateway, once it is open', AFTER);
  await system.gateway.disconnect(user, 'phone');
  client.close();
}

async function everybodyElse(on: LoadSystem): Promise<void> {
  await on.gateways.register(ids('well', USERS));
  await on.gateways.register(ids('silent', USERS), on.system.gateway.address);
  await on.gateways.register(ids('dead', USERS), `127.0.0.1:${await freePort()}`);
  // Also when the rate is given: it warms everything up.
  const half = await halfOfCapacity(on);
  const rate = args.rate === undefined ? half : Number(args.rate);
  const p99: Record<string, number[]> = { well: [], silent: [], dead: [] };
  for (let round = 0; round < Number(args.rounds); round++) {
    for (const [kind, values] of Object.entries(p99)) {
      const spec = specOf(kind, { kind: 'open', perSecond: rate }, Number(args.seconds));
      const expected = [OUTCOME.delivered, kind === 'well' ? OUTCOME.delivered : OUTCOME.offline];
      const phase = await measureProduct(on, `one gateway ${kind}`, spec, expected);
      console.log(describePhase(phase));
      values.push(phase.latency.p99);
    }
  }
  const { well = [] } = p99;
  console.log(
    `p99 of messages to other gateways, ${args.rounds} rounds of one kind after the other:`,
  );
  for (const [kind, values] of Object.entries(p99)) {
    // Beside the same round's, for the machine is not the same from minute to minute.
    const ratios = values.map((value, i) => value / (well[i] ?? NaN)).sort((a, b) => a - b);
    console.log(
      `${kind}: median ${median(values).toFixed(1)} ms, over all well ×${median(ratios).toFixed(2)} ` +
        `(${ratios.map((ratio) => ratio.toFixed(2)).join(' ')})`,
    );
  }
}

async function halfOfCapacity(on: LoadSystem): Promise<number> {
  const spec = { ...specOf('well', { kind: 'closed', callers: CALLERS }, 5), warmUpS: 10 };
  const phase = await measureProduct(on, 'capacity', spec, [OUTCOME.delivered, OUTCOME.delivered]);
  console.log(describePhase(phase));
  return Math.round(phase.perSecond / 2);
}

/** Latencies are of the messages to the other gateways only. */
function specOf(kind: string, loop: LoadSpec['loop'], seconds: number): Omit<LoadSpec, 'ports'> {
  return {
    ...LOAD_DEFAULTS,
    run: `d${randomBytes(4).toString('hex')}-`,
    seconds,
    loop,
    mix: [
      { ...KINDS.online, share: 100 - ASIDE },
      { ...KINDS.online, target: kind, targets: USERS, share: ASIDE, aside: true },
    ],
  };
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
