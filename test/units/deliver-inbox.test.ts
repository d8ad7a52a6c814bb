import type { InboxDelivery as Mark } from '../../src/activities/mysql/inbox';
import type { PushedMessage } from '../../src/activities/gateway/pusher';
import { UNREADABLE_TYPE } from '../../src/domain/encryption';
import type { InboxItem } from '../../src/domain/inbox';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';
import { InboxDelivery } from '../../src/routing/deliver-inbox';
import type { DeliverInboxDeps } from '../../src/routing/deliver-inbox';
import { message } from '../support/records';

const phone = { deviceId: 'phone', gateway: 'g:1', connectedAt: 1 };

/** An inbox of `size` messages in memory, a gateway, and what became of both. */
class World {
  readonly waiting: InboxItem[];
  readonly pushed: string[] = [];
  readonly pushedContents: string[] = [];
  readonly marked: string[] = [];
  readonly markedDevices = new Set<string>();
  readonly erased: string[] = [];
  readonly erasedUsers = new Set<string>();
  mostUnmarked = 0;
  devices = [phone];
  /** Lookups that the registry cannot answer. */
  uncertain = 0;
  onPush: (n: number) => void = () => undefined;
  takes: (n: number) => boolean = () => true;
  markFails: (n: number) => boolean = () => false;
  private markCalls = 0;
  private delivery: InboxDelivery | undefined;

  constructor(size: number) {
    this.waiting = Array.from({ length: size }, (_, i) => ({
      position: i + 1,
      message: message({ recipientId: 'me', senderId: 'you', sequenceNumber: i + 1 }),
    }));
  }

  deliver(signal = new AbortController().signal) {
    this.delivery ??= this.createDelivery();
    return this.delivery.deliverPage('me', signal);
  }

  private createDelivery(): InboxDelivery {
    const deps: DeliverInboxDeps = {
      mailbox: {
        noteAppeared: () => Promise.resolve(),
        expire: () => Promise.resolve(),
        readPending: (_user, limit) => Promise.resolve(this.waiting.slice(0, limit)),
        pending: () => Promise.resolve({ total: this.waiting.length, rows: this.waiting.length }),
        markDelivered: (_user, items) => this.mark(items),
        settle: () => Promise.resolve(true),
      },
      content: {
        open: (messages) => Promise.resolve(messages.map((m) => ({ ...m, encoding: 'plain' }))),
      },
      presence: {
        lookup: () => {
          const certain = this.uncertain-- <= 0;
          return Promise.resolve({ devices: certain ? this.devices : [], certain });
        },
      },
      pusher: { push: (pushed) => this.push(pushed) },
      states: { markDelivered: () => Promise.reject(new Error('Redis is away')) },
      counts: { set: () => Promise.reject(new Error('Redis is away')) },
      erased: { among: () => Promise.resolve(new Set(this.erased)) },
      erasedUsers: this.erasedUsers,
      now: Date.now,
      metrics: createMetrics(),
      log: createLogger('silent', 'test'),
    };
    return new InboxDelivery(deps);
  }

  private push(pushed: PushedMessage): Promise<string[]> {
    const n = this.pushed.length + 1;
    if (!this.takes(n)) return Promise.resolve([]);
    this.pushed.push(pushed.msgId);
    this.pushedContents.push(`${pushed.content} ${pushed.messageType}`);
    this.mostUnmarked = Math.max(this.mostUnmarked, this.pushed.length - this.marked.length);
    this.onPush(n);
    return Promise.resolve(['phone']);
  }

  private async mark(items: readonly Mark[]): Promise<number> {
    this.markCalls += 1;
    await new Promise((resolve) => setTimeout(resolve, 2));
    if (this.markFails(this.markCalls)) throw new Error('MySQL is away');
    const ids = items.map((item) => item.msgId);
    this.marked.push(...ids);
    for (const { devices } of items) devices.forEach((device) => this.markedDevices.add(device));
    const before = this.waiting.length;
    const left = this.waiting.filter((item) => !ids.includes(item.message.msgId));
    this.waiting.splice(0, before, ...left);
    return before - left.length;
  }
}

describe('delivering a page of the inbox', () => {
  it('pushes in order, marks all, and does without Redis', async () => {
    const world = new World(30);
    const order = world.waiting.map((item) => item.message.msgId);
    expect(await world.deliver()).toEqual({ outcome: 'drained', delivered: 30, pending: 0 });
    expect(world.pushed).toEqual(order);
    expect(new Set(world.marked)).toEqual(new Set(order));
  });

  it('never has more than four messages pushed and unmarked', async () => {
    const world = new World(100);
    expect(await world.deliver()).toMatchObject({ outcome: 'more', delivered: 100 });
    expect(world.mostUnmarked).toBeLessThanOrEqual(4);
  });

  it('stops at the first message that reaches nobody, with the ones before it marked', async () => {
    const world = new World(10);
    world.takes = (n) => n <= 6;
    expect(await world.deliver()).toEqual({ outcome: 'unreachable', delivered: 6, pending: 4 });
    expect(world.marked).toHaveLength(6);
  });

  it('takes a user who has left for absent, not for unreachable', async () => {
    const world = new World(10);
    world.takes = (n) => {
      if (n > 3) world.devices = [];
      return n <= 3;
    };
    expect(await world.deliver()).toEqual({ outcome: 'absent', delivered: 3, pending: 7 });
    expect(await world.deliver()).toEqual({ outcome: 'absent', delivered: 0, pending: 7 });
  });

  it('marks what was pushed when it is cancelled in between', async () => {
    const world = new World(50);
    const cancel = new AbortController();
    world.onPush = (n) => n === 20 && cancel.abort();
    expect(await world.deliver(cancel.signal)).toEqual({
      outcome: 'more',
      delivered: 20,
      pending: 30,
    });
  });

  it('tries to mark again and pushes nothing twice when MySQL is away for a moment', async () => {
    const world = new World(20);
    world.markFails = (n) => n >= 3 && n <= 5;
    expect(await world.deliver()).toEqual({ outcome: 'drained', delivered: 20, pending: 0 });
    expect(new Set(world.pushed).size).toBe(world.pushed.length);
  });

  it('pushes nothing twice when Temporal asks for a page again that is still under way', async () => {
    const world = new World(20);
    const [first, second] = await Promise.all([world.deliver(), world.deliver()]);
    expect(world.pushed).toHaveLength(20);
    expect([first.delivered, second.delivered]).toEqual([20, 0]);
  });

  it('ends when the user is erased while it is under way, and writes no more of their devices down', async () => {
    const world = new World(10);
    world.onPush = (n) => n === 1 && world.erasedUsers.add('me');
    expect(await world.deliver()).toMatchObject({ outcome: 'absent', delivered: 1 });
    expect(world.pushed).toHaveLength(1);
    expect([...world.markedDevices]).toEqual([]);
    expect(await world.deliver()).toEqual({ outcome: 'absent', delivered: 0, pending: 9 });
  });

  it('shows of what an erased sender wrote the place alone, though it was read before', async () => {
    const world = new World(4);
    world.onPush = (n) => n === 2 && world.erasedUsers.add('you');
    expect(await world.deliver()).toEqual({ outcome: 'drained', delivered: 4, pending: 0 });
    const [clear, place] = ['hello text/plain', ` ${UNREADABLE_TYPE}`];
    expect(world.pushedContents).toEqual([clear, clear, place, place]);
  });

  it('asks the registry again before it takes a user for absent whom it cannot tell of', async () => {
    const world = new World(5);
    world.uncertain = 2;
    expect(await world.deliver()).toMatchObject({ outcome: 'drained', delivered: 5 });
  });
});
