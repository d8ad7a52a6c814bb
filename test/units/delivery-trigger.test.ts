import { DeliveryTrigger } from '../../src/consumers/delivery-trigger';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';

const device = { deviceId: 'phone', gateway: 'g:1', connectedAt: 1 };

function trigger(given: {
  present?: string[];
  pending?: string[];
  owned?: string[];
  /** Not remembered, and what the registry says of them: when their devices connected, unix s. */
  unknown?: Record<string, number[]>;
  isAway?: boolean;
}) {
  const requested: string[] = [];
  const asked: string[][] = [];
  const noted: string[] = [];
  let appear: (userId: string) => void = () => undefined;
  let vanish: (userId: string) => void = () => undefined;
  const made = new DeliveryTrigger({
    presence: {
      lookupMany: (userIds) => {
        const devicesOf = (userId: string) =>
          given.unknown?.[userId]?.map((connectedAt) => ({ ...device, connectedAt })) ??
          (given.present?.includes(userId) ? [device] : []);
        const certain = !given.isAway;
        return Promise.resolve(
          new Map(userIds.map((userId) => [userId, { devices: devicesOf(userId), certain }])),
        );
      },
      cached: (userId) => (given.unknown?.[userId] ? undefined : []),
      onAppear: (listener) => (appear = listener),
      onVanish: (listener) => (vanish = listener),
    },
    mailbox: {
      appeared: (userIds) => {
        asked.push([...userIds]);
        noted.push(...userIds.map((userId) => `+${userId}`));
        return Promise.resolve(userIds.filter((userId) => given.pending?.includes(userId)));
      },
      presentAmong: (userIds) => Promise.resolve(userIds.filter((userId) => userId !== 'stranger')),
      vanished: (userIds) => {
        noted.push(...userIds.map((userId) => `-${userId}`));
        return Promise.resolve();
      },
    },
    now: Date.now,
    requests: {
      request: (userId) => requested.push(userId),
      requestAnew: (userId) => requested.push(userId),
      forget: () => undefined,
    },
    owns: (userId) => given.owned?.includes(userId) ?? true,
    metrics: createMetrics(),
    log: createLogger('silent', 'test'),
  });
  return {
    made,
    requested,
    asked,
    noted,
    appear: (userId: string) => appear(userId),
    vanish: (userId: string) => vanish(userId),
  };
}

describe('the delivery trigger', () => {
  it('asks for delivery when a message is stored for a user who is present', async () => {
    const { made, requested } = trigger({ present: ['bob'] });
    made.stored(['alice', 'bob', 'carol']);
    await made.close();
    expect(requested).toEqual(['bob']);
  });

  it('asks for delivery when a user appears for whom something waits', async () => {
    const { made, requested, appear } = trigger({ pending: ['bob'] });
    appear('alice');
    appear('bob');
    await made.close();
    expect(requested).toEqual(['bob']);
  });

  it('asks MySQL a few times, not for each of the users who appear together', async () => {
    const { made, asked, appear } = trigger({});
    for (let i = 0; i < 5_000; i++) appear(`user-${i}`);
    await made.close();
    expect(asked.length).toBeLessThanOrEqual(11);
    expect(asked.flat()).toHaveLength(5_000);
  });

  it('notes comings and goings in the order they were seen', async () => {
    const { made, noted, appear, vanish } = trigger({});
    appear('alice');
    vanish('alice');
    appear('bob');
    appear('alice');
    await made.close();
    expect(noted).toEqual(['+alice', '-alice', '+bob', '+alice']);
  });

  const second = Math.floor(Date.now() / 1_000);
  it.each([
    ['has gone', 'alice', [], false, ['-alice']],
    ['has another device', 'alice', [second - 60], false, []],
    ['is back already', 'alice', [second], false, ['-alice', '+alice']],
    ['cannot be asked about', 'alice', [], true, ['-alice']],
    ['is in no large group', 'stranger', [], false, []],
  ])(
    'asks about a user who is not remembered when a device goes: who %s',
    async (_, userId, devices, isAway, expected) => {
      const { made, noted, vanish } = trigger({ unknown: { [userId]: devices }, isAway });
      vanish(userId);
      await made.close();
      expect(noted).toEqual(expected);
    },
  );

  it('leaves users of other workers to them', async () => {
    const { made, requested, appear } = trigger({ pending: ['bob', 'carol'], owned: ['carol'] });
    appear('bob');
    appear('carol');
    await made.close();
    expect(requested).toEqual(['carol']);
  });
});
