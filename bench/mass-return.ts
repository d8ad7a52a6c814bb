/**
 * Many users who come back at once, each with messages that wait: how long until all are delivered, and
 * what it asks of Temporal. `npm run bench -- mass-return [--users 10000] [--messages 20]`.
 */
import { randomBytes } from 'node:crypto';
import { parseArgs } from 'node:util';
import { waitFor } from '../test/support/wait';
import { OUTCOME } from './harness/ledger';
import { ids, KINDS, startLoadSystem } from './harness/load-system';
import type { LoadSystem } from './harness/load-system';
import { describeMachine } from './harness/machine';
import { describePhase } from './harness/markdown';
import { measureProduct, round } from './harness/measure';
import { scrape } from './harness/metrics';
import { writeJson } from './harness/results';
import { LOAD_DEFAULTS } from './harness/traffic';

/** Who send what is to wait. */
const CALLERS = 50;
const DELIVERY_LIMIT_MS = 30 * 60_000;

const { values: args } = parseArgs({
  options: {
    users: { type: 'string', default: '10000' },
    messages: { type: 'string', default: '20' },
    name: { type: 'string', default: 'mass-return' },
  },
});
const users = Number(args.users);
const each = Number(args.messages);

async function main(): Promise<void> {
  const on = await startLoadSystem();
  try {
    const { run, accepted } = await sendToAbsent(on);
    const before = await temporalStarts(on);
    const cpuBefore = on.meter.read();
    const began = performance.now();
    const registered = on.gateways.register(ids('back', users));
    const arrived = (): Promise<boolean> => on.gateways.count().then((n) => n >= accepted);
    const [registeredS] = await Promise.all([
      registered.then(() => secondsSince(began)),
      waitFor('every message to be delivered', DELIVERY_LIMIT_MS, arrived),
    ]);
    const seconds = secondsSince(began);
    const cpuAfter = on.meter.read();
    const pushes = await on.gateways.pushes(run);
    // A message pushed twice would let the count be reached with another one missing.
    const missing = accepted - pushes.filter((count) => count > 0).length;
    const result = {
      machine: describeMachine(on.system.stack),
      users,
      messages: accepted,
      registeredS,
      seconds,
      perSecond: round(accepted / seconds, 0),
      missing,
      pushedTwice: pushes.filter((count) => count > 1).length,
      temporalCallsAUser: round(((await temporalStarts(on)) - before) / users, 3),
      cpuSeconds: Object.fromEntries(
        Object.entries(cpuAfter).map(([name, used]) => [
          name,
          round(used - (cpuBefore[name] ?? 0), 1),
        ]),
      ),
    };
    console.log(result);
    console.log(writeJson(args.name, result));
    if (missing > 0) throw new Error(`${missing} messages were not delivered`);
  } finally {
    await on.close();
  }
}

/** Resolves once everything accepted is in MySQL. */
async function sendToAbsent(on: LoadSystem): Promise<{ run: string; accepted: number }> {
  const run = `m${randomBytes(4).toString('hex')}-`;
  const phase = await measureProduct(
    on,
    'sent to wait',
    {
      ...LOAD_DEFAULTS,
      run,
      warmUpS: 0,
      loop: { kind: 'closed', callers: CALLERS },
      mix: [{ ...KINDS.offline, target: 'back', targets: users }],
      conversations: users,
      messages: users * each,
    },
    [OUTCOME.offline],
  );
  console.log(describePhase(phase));
  return { run, accepted: phase.outcomes['offline'] ?? 0 };
}

/** Calls to Temporal that start or wake a delivery, whoever asked for it, the sweep included. */
async function temporalStarts({ system }: LoadSystem): Promise<number> {
  const metrics = await scrape(system.workerHttpPort);
  const outcomes = ['requested', 'failed'].map((outcome) =>
    metrics.get(`im_service_delivery_starts_total{outcome="${outcome}"}`),
  );
  return outcomes.reduce<number>((sum, count) => sum + (count ?? 0), 0);
}

function secondsSince(began: number): number {
  return round((performance.now() - began) / 1_000, 2);
}

void main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
