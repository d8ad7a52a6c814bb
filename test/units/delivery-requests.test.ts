import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';
import type { Temporal } from '../../src/temporal/client';
import { DeliveryRequests } from '../../src/temporal/delivery-requests';

/** Requests against a Temporal that only counts, and answers when told to. */
function counting(answer: () => Promise<void> = () => Promise.resolve()) {
  const calls: string[] = [];
  const signalWithStart = (_type: string, { workflowId }: { workflowId: string }) => {
    calls.push(workflowId);
    return answer();
  };
  const client = { workflow: { signalWithStart } };
  const temporal = {
    within: (_ms: number, work: (c: unknown) => Promise<void>) => work(client),
  } as unknown as Temporal;
  const requests = new DeliveryRequests({
    temporal,
    taskQueue: 'q',
    log: createLogger('silent', 'test'),
    metrics: createMetrics(),
  });
  return { calls, requests };
}

describe('requesting deliveries', () => {
  beforeEach(() => {
    jest.useFakeTimers();
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  it('makes one call at once and one a second for a user, however many messages come', async () => {
    const { calls, requests } = counting();
    for (let second = 0; second < 5; second++) {
      for (let i = 0; i < 100; i++) {
        requests.request('bob');
        await jest.advanceTimersByTimeAsync(10);
      }
    }
    expect(calls.length).toBeGreaterThanOrEqual(5);
    expect(calls.length).toBeLessThanOrEqual(6);
    expect(new Set(calls)).toEqual(new Set(['offline-delivery/bob']));
  });

  it('makes one call in 16 s for a user whose gateways take nothing, until they come anew or are reached', async () => {
    const { calls, requests } = counting();
    const messagesFor = async (seconds: number) => {
      for (let i = 0; i < seconds * 10; i++) {
        requests.request('bob');
        await jest.advanceTimersByTimeAsync(100);
      }
    };
    requests.unreachable('bob');
    await messagesFor(33);
    expect(calls).toHaveLength(3);
    requests.requestAnew('bob');
    await jest.advanceTimersByTimeAsync(1_100);
    expect(calls).toHaveLength(4);
    await messagesFor(3);
    expect(calls.length).toBeGreaterThanOrEqual(6);

    requests.unreachable('bob');
    await messagesFor(2);
    const before = calls.length;
    await messagesFor(3);
    expect(calls).toHaveLength(before);
    requests.reached('bob');
    await jest.advanceTimersByTimeAsync(1_100);
    expect(calls).toHaveLength(before + 1);
  });

  it('does not forget a request that comes during the call', async () => {
    const { calls, requests } = counting();
    requests.request('bob');
    requests.request('bob');
    await jest.advanceTimersByTimeAsync(1_100);
    expect(calls).toHaveLength(2);
    await jest.advanceTimersByTimeAsync(10_000);
    expect(calls).toHaveLength(2);
  });

  it('has at most 16 calls under way, and drops what is beyond its bounds', async () => {
    const { calls, requests } = counting(() => new Promise(() => undefined));
    for (let i = 0; i < 60_000; i++) requests.request(`user-${i}`);
    await jest.advanceTimersByTimeAsync(0);
    expect(calls).toHaveLength(16);
  });

  it('goes on after calls that Temporal did not take', async () => {
    const { calls, requests } = counting(() => Promise.reject(new Error('UNAVAILABLE')));
    requests.request('bob');
    await jest.advanceTimersByTimeAsync(1_100);
    requests.request('bob');
    await jest.advanceTimersByTimeAsync(0);
    expect(calls).toHaveLength(2);
    await expect(requests.start('bob')).rejects.toThrow('UNAVAILABLE');
  });

  it('leaves nothing for the sweep to start that is on its way, until something new happens', async () => {
    const { calls, requests } = counting();
    requests.request('bob');
    expect(await requests.startMissed('bob')).toBe(false);
    // Ten thousand who come back at once have their turns within minutes.
    await jest.advanceTimersByTimeAsync(5 * 60_000);
    expect(await requests.startMissed('bob')).toBe(false);
    expect(calls).toHaveLength(1);
    requests.forget('bob');
    expect(await requests.startMissed('bob')).toBe(true);
    expect(await requests.startMissed('carol')).toBe(true);
  });

  it('leaves to the sweep what Temporal did not take', async () => {
    let answer = () => Promise.reject(new Error('UNAVAILABLE'));
    const { requests } = counting(() => answer());
    requests.request('bob');
    await jest.advanceTimersByTimeAsync(1_100);
    answer = () => Promise.resolve() as Promise<never>;
    expect(await requests.startMissed('bob')).toBe(true);
  });
});
