/** That kafkajs has a timer for requests that wait, and only then. */
import { useRequestTimersWhenNeeded } from '../../src/activities/kafka/request-timers';

interface RequestQueue {
  readonly pending: readonly object[];
  readonly throttleCheckTimeoutId: object | null;
  push: (request: object) => void;
  fulfillRequest: (response: object) => void;
  maybeThrottle: (ms: number) => void;
  destroy: () => void;
}

let queue: RequestQueue;

beforeEach(() => {
  jest.useFakeTimers();
  useRequestTimersWhenNeeded();
  // Twice, as each client does it: that changes nothing.
  useRequestTimersWhenNeeded();
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- it has no types inside
  const Queue = require('kafkajs/src/network/requestQueue') as new (
    options: object,
  ) => RequestQueue;
  queue = new Queue({ requestTimeout: 1_000, logger: { debug: jest.fn() } });
});

afterEach(() => {
  queue.destroy();
  jest.useRealTimers();
});

function push(correlationId: number): jest.Mock {
  const sendRequest = jest.fn();
  const entry = { correlationId, resolve: jest.fn(), reject: jest.fn() };
  queue.push({ entry, expectResponse: true, sendRequest });
  return sendRequest;
}

test('an answer with nothing behind it leaves no timer', () => {
  const sent = push(1);
  expect(sent).toHaveBeenCalledTimes(1);
  queue.fulfillRequest({ correlationId: 1, payload: Buffer.alloc(0), size: 0 });
  expect(queue.throttleCheckTimeoutId).toBeNull();
  expect(jest.getTimerCount()).toBe(0);
});

test('what a broker puts off is sent when its time has come, then the timer is gone', () => {
  queue.maybeThrottle(500);
  const sent = [push(1), push(2)];
  jest.advanceTimersByTime(499);
  expect(sent.map((each) => each.mock.calls.length)).toEqual([0, 0]);
  jest.advanceTimersByTime(12);
  expect(sent.map((each) => each.mock.calls.length)).toEqual([1, 1]);
  expect(queue.pending).toHaveLength(0);
  expect(jest.getTimerCount()).toBe(0);
});

test('put off once more, it waits once more', () => {
  queue.maybeThrottle(100);
  const sent = push(1);
  jest.advanceTimersByTime(50);
  queue.maybeThrottle(300);
  jest.advanceTimersByTime(299);
  expect(sent).not.toHaveBeenCalled();
  jest.advanceTimersByTime(15);
  expect(sent).toHaveBeenCalledTimes(1);
});
