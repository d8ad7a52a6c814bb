/** The member cache against a user service that pages, changes while it is read, and goes away. */
import { Groups } from '../../src/activities/user-service/groups';
import type { UserServiceClient } from '../../src/activities/user-service/client';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';
import { sleep } from '../../src/activities/sleep';

const noError = { error_code: 0, error_message: '' };

class World {
  readonly members = new Set<string>();
  readonly calls: string[] = [];
  isAway = false;
  time = 1_000_000;
  /** Runs before the page that begins there is answered. */
  beforePage: (cursor: string) => void = () => undefined;
  readonly metrics = createMetrics();
  readonly groups: Groups;

  constructor(size: number, fanoutMax = 10_000, maxMembers = 100_000) {
    for (let i = 0; i < size; i++) this.members.add(`user-${i}`);
    const client = {
      call: (name: string, request: Record<string, string>) => this.answer(name, request),
    };
    this.groups = new Groups({
      client: client as unknown as UserServiceClient,
      fanoutMax,
      maxMembers,
      refreshMs: 60_000,
      now: () => this.time,
      log: createLogger('silent', 'test'),
      metrics: this.metrics,
    });
  }

  change(userId: string, type: 'join' | 'leave'): void {
    this.groups.apply({ groupId: 'g', userId, type, at: this.time });
  }

  private answer(name: string, request: Record<string, string>): Promise<object> {
    this.calls.push(name);
    if (this.isAway) return Promise.reject(new Error('away'));
    if (request['group_id']?.startsWith('nowhere')) {
      return Promise.resolve({ error_code: 2, error_message: 'no such group' });
    }
    if (name === 'ValidateGroupMembership') {
      const isMember = this.members.has(request['user_id'] ?? '');
      return Promise.resolve({ ...noError, is_member: isMember, member: null });
    }
    const all = [...this.members];
    const from = Number(request['cursor'] || 0);
    const page = all.slice(from, from + 1_000);
    this.beforePage(request['cursor'] ?? '');
    return Promise.resolve({
      ...noError,
      members: page.map((user_id) => ({ user_id, joined_at: null })),
      next_cursor: String(from + page.length),
      total_count: all.length,
      has_more: from + page.length < all.length,
    });
  }
}

describe('the member cache', () => {
  it('reads a group once, by pages of a thousand, also when asked by many at once', async () => {
    const world = new World(2_500);
    const asked = Array.from({ length: 50 }, (_, i) =>
      world.groups.requireMember('g', `user-${i}`),
    );
    expect(new Set(await Promise.all(asked))).toEqual(new Set([2_500]));
    expect(world.calls).toEqual(new Array(3).fill('GetGroupMembers'));
  });

  it('remembers fewer groups when one of them grows', async () => {
    // Two groups of two members weigh 24.
    const world = new World(2, 10_000, 30);
    await world.groups.membersAt('h', world.time);
    await world.groups.membersAt('g', world.time);
    await world.groups.membersAt('h', world.time);
    expect(world.calls).toHaveLength(2);
    for (let i = 0; i < 10; i++) world.change(`newcomer-${i}`, 'join');
    await world.groups.membersAt('h', world.time);
    expect(world.calls).toHaveLength(3);
  });

  it('knows who left just before the group was first asked for, for messages from before', async () => {
    const world = new World(2);
    const sentAt = world.time;
    world.time += 10;
    world.members.add('later');
    world.change('later', 'join');
    world.time += 10;
    for (const userId of ['user-1', 'later']) {
      world.members.delete(userId);
      world.change(userId, 'leave');
      world.change(userId, 'leave');
    }
    expect(await world.groups.membersAt('g', sentAt)).toEqual(['user-0', 'user-1']);
    expect(await world.groups.membersAt('g', sentAt + 15)).toEqual(['user-0', 'user-1', 'later']);
    expect(await world.groups.membersAt('g', world.time)).toEqual(['user-0']);
  });

  it('knows who left while the group was first read', async () => {
    const world = new World(1_500);
    const sentAt = world.time;
    world.beforePage = (cursor) => {
      if (cursor !== '') return;
      world.time += 10;
      world.members.delete('user-1200');
      world.change('user-1200', 'leave');
    };
    expect(await world.groups.membersAt('g', sentAt)).toContain('user-1200');
    expect(await world.groups.membersAt('g', world.time)).not.toContain('user-1200');
  });

  it('applies what changed while the pages were read', async () => {
    const world = new World(1_500);
    world.beforePage = (cursor) => {
      if (cursor !== '1000') return;
      world.change('user-7', 'leave');
      world.change('newcomer', 'join');
    };
    const members = await world.groups.membersAt('g', world.time);
    expect(members).toHaveLength(1_500);
    expect(members).toContain('newcomer');
    expect(await world.groups.membersAt('g', world.time + 1)).not.toContain('user-7');
  });

  it('serves the last known members while the user service is away, and says so', async () => {
    const world = new World(3);
    await world.groups.requireMember('g', 'user-1');
    world.isAway = true;
    world.time += 120_000;
    expect(await world.groups.requireMember('g', 'user-2')).toBe(3);
    await sleep(0);
    expect((await world.metrics.userServiceStale.get()).values[0]?.value).toBe(1);
    await expect(world.groups.requireMember('other', 'user-2')).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
  });

  it('refreshes an old answer in the background', async () => {
    const world = new World(3);
    await world.groups.requireMember('g', 'user-1');
    world.members.add('unheard-of');
    world.time += 120_000;
    expect(await world.groups.requireMember('g', 'user-1')).toBe(3);
    await sleep(0);
    expect(await world.groups.requireMember('g', 'user-1')).toBe(4);
  });

  it('keeps no members of a large group: it asks about each sender once, and counts by events', async () => {
    const world = new World(5_000, 2_000);
    expect(await world.groups.requireMember('g', 'user-4999')).toBe(5_000);
    expect(await world.groups.requireMember('g', 'user-4999')).toBe(5_000);
    expect(world.calls).toEqual(['GetGroupMembers', 'ValidateGroupMembership']);
    expect(await world.groups.membersAt('g', world.time)).toBe('large');
    world.change('user-4999', 'leave');
    await expect(world.groups.requireMember('g', 'user-4999')).rejects.toMatchObject({
      code: 'INVALID_RECIPIENT',
    });
    expect(await world.groups.requireMember('g', 'user-1')).toBe(4_999);
  });

  it('forgets groups rather than hold more members than it may', async () => {
    const world = new World(900, 10_000, 2_000);
    for (const group of ['a', 'b', 'c', 'd']) await world.groups.memberSince(group, 'user-1');
    world.isAway = true;
    await expect(world.groups.memberSince('a', 'user-1')).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
    expect(await world.groups.memberSince('d', 'user-1')).toBe(0);
  });

  it('knows a group that does not exist for one', async () => {
    const world = new World(0);
    await expect(world.groups.requireMember('nowhere', 'alice')).rejects.toMatchObject({
      code: 'INVALID_RECIPIENT',
    });
  });
});
