/** The product under load: its system, light gateways that hold the online users, groups, and the floor. */
import { Database } from '../../src/activities/mysql/database';
import { BenchGateways, Floor } from './children';
import { CpuMeter } from './cpu';
import { Lag } from './lag';
import { processesOf, startBenchSystem } from './system';
import type { BenchSystem } from './system';
import { idOf } from './traffic';
import type { Traffic } from './traffic';

/** Users of each kind, each in two conversations. */
const USERS = 1_000;
const GROUPS = 20;
/** Of a group of 100. */
const PRESENT = 90;
const AWAY = 10;
const CONTENT_BYTES = 100;
/** Enough for every message of a run to wait: what a quota refuses is not what is measured. */
const QUOTA = '10000000';

/** Kinds of messages; a mix is made of them. */
export const KINDS = {
  online: privateTo('on'),
  offline: privateTo('off'),
  group: {
    method: 'RouteGroupMessage',
    share: 1,
    sender: 'gs',
    target: 'group',
    targets: GROUPS,
    contentBytes: CONTENT_BYTES,
  },
} as const satisfies Record<string, Traffic>;

export interface LoadSystem {
  readonly system: BenchSystem;
  readonly gateways: BenchGateways;
  readonly floor: Floor;
  readonly lag: Lag;
  readonly meter: CpuMeter;
  readonly db: Database;
  close(): Promise<void>;
}

export async function startLoadSystem(env: Record<string, string> = {}): Promise<LoadSystem> {
  const system = await startBenchSystem({ IM_OFFLINE_QUOTA: QUOTA, ...env }, { fresh: true });
  const { environment } = system.stack;
  const gateways = await BenchGateways.start(environment.ETCD_ENDPOINTS);
  const floor = await Floor.start();
  const lag = await Lag.open(environment.KAFKA_BROKERS);
  const db = Database.open({ url: environment.MYSQL_URL, connections: 2, deadlineMs: 60_000 });
  await gateways.register(ids('on', USERS));
  await gateways.register(ids('gs', GROUPS));
  await makeGroups(system);
  return {
    system,
    gateways,
    floor,
    lag,
    db,
    meter: new CpuMeter({
      ...processesOf(system),
      gateway: [gateways.pid],
      // The user service is in this process.
      harness: [process.pid],
      floor: [floor.pid],
    }),
    close: async () => {
      await lag.close();
      await db.close();
      await floor.stop();
      await system.close();
      await gateways.stop();
    },
  };
}

/** Groups of 100, the sender among those who are present. */
async function makeGroups({ users }: BenchSystem): Promise<void> {
  for (let group = 0; group < GROUPS; group++) {
    const present = ids('on', PRESENT - 1, (group * PRESENT) % (USERS - PRESENT));
    const members = [idOf('gs', group), ...present, ...ids('away', AWAY, group * AWAY)];
    const response = await fetch(`${users.httpUrl}/groups/${idOf('group', group)}`, {
      method: 'PUT',
      body: JSON.stringify({ members }),
      signal: AbortSignal.timeout(20_000),
    });
    if (!response.ok) throw new Error(`making a group: ${await response.text()}`);
  }
}

export function ids(prefix: string, count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, i) => idOf(prefix, from + i));
}

function privateTo(target: string): Traffic {
  return {
    method: 'RoutePrivateMessage',
    share: 1,
    sender: 's',
    target,
    targets: USERS,
    contentBytes: CONTENT_BYTES,
  };
}
