/** Streams of im.v1.IMStreamService: how they end, and what holds them up. */
import { status } from '@grpc/grpc-js';
import { unique } from '../support/ids';
import {
  dialogue,
  idOf,
  inPrivate,
  message,
  metric,
  numbersOf,
  responseOf,
  StreamClient,
} from '../support/stream-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

let system: TestSystem;
let client: StreamClient;
beforeAll(async () => {
  system = await startSystem();
  client = new StreamClient(system.server.grpcPort);
});
afterAll(async () => {
  client.close();
  await system.close();
});

const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);

describe('the end of a stream', () => {
  test('after a half-close everything is answered, then it ends with OK', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const stream = client.open();
    stream.write(dialogue(alice, bob, 300), 300);
    stream.call.end();
    expect(await stream.ended()).toMatchObject({ code: status.OK });
    expect(stream.answers).toHaveLength(300);
    await waitFor('the stream to be forgotten', 5_000, async () => {
      return (await metric(system, 'im_service_streams')) === 0;
    });
  });

  test('what a cut stream left unanswered is had on a second one: same answers, nothing pushed twice', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    const requests = Array.from({ length: 600 }, () => inPrivate(message(alice, bob)));
    const cut = client.open();
    cut.write(requests, 20);
    await cut.answered(50);
    cut.call.cancel();
    const second = client.open();
    second.write(requests, 50);
    const answers = await second.answered(600, 60_000);
    expect(answers.map((answer) => answer.msg_id)).toEqual(requests.map(idOf));
    expect(answers.filter((answer) => responseOf(answer).status !== 'delivered')).toEqual([]);
    const numbers = new Map(answers.map((answer) => [answer.msg_id, responseOf(answer)]));
    for (const answer of cut.answers) {
      const { sequence_number } = responseOf(answer);
      expect(numbers.get(answer.msg_id)?.sequence_number).toBe(sequence_number);
    }
    expect(numbersOf(answers)).toEqual(sorted(numbersOf(answers)));
    expect(system.gateway.pushesOf(bob).map((push) => push.msg_id)).toEqual(requests.map(idOf));
    second.call.end();
    await waitFor('nothing to be left of either', 5_000, async () => {
      const left = ['im_service_streams', 'im_service_in_flight'].map((n) => metric(system, n));
      return (await Promise.all(left)).every((count) => count === 0);
    });
  }, 90_000);

  test('a deadline ends it as any call', async () => {
    const stream = client.open({ deadline: Date.now() + 300 });
    expect(await stream.ended()).toMatchObject({ code: status.DEADLINE_EXCEEDED });
  });

  test('a server that stops answers what it has taken and says UNAVAILABLE', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const stopping = await startSystem();
    const own = new StreamClient(stopping.server.grpcPort);
    await stopping.gateway.connect(bob, 'phone');
    const [stream, idle] = [own.open(), own.open()];
    stream.write(dialogue(alice, bob, 200), 50);
    await stream.answered(1);
    stopping.gateway.mood = 'silent';
    stream.write([inPrivate(message(alice, bob))]);
    await waitFor('it to be taken', 5_000, async () => {
      return (await metric(stopping, 'im_service_in_flight')) > 0;
    });
    const closed = stopping.close();
    expect(await stream.ended()).toMatchObject({ code: status.UNAVAILABLE });
    expect(await idle.ended()).toMatchObject({ code: status.UNAVAILABLE });
    own.close();
    await closed;
    // Each that was pushed was taken, and so answered.
    const answered = new Set(stream.answers.map((answer) => answer.msg_id));
    expect(stopping.gateway.pushesOf(bob).filter(({ msg_id }) => !answered.has(msg_id))).toEqual(
      [],
    );
    expect(stream.answers.filter((answer) => !responseOf(answer).success)).toEqual([]);
  }, 60_000);
});

describe('flow control', () => {
  const MAX_STREAM = 50;
  const MAX_PROCESS = 20;
  let small: TestSystem;
  let own: StreamClient;
  beforeAll(async () => {
    small = await startSystem({
      IM_STREAM_IN_FLIGHT: String(MAX_STREAM),
      IM_MAX_IN_FLIGHT: String(MAX_PROCESS),
    });
    own = new StreamClient(small.server.grpcPort);
  });
  afterAll(async () => {
    own.close();
    await small.close();
  });

  test('a client that never reads is paused; when it reads on, everything is answered', async () => {
    const count = 60_000;
    const taken = (): Promise<number> =>
      metric(small, 'im_service_messages_answered_total{way="stream"}');
    const stream = own.open();
    stream.call.pause();
    const request = inPrivate({ ...message(unique('alice'), unique('bob')), msg_id: '' });
    stream.write(
      Array.from({ length: count }, () => request),
      20,
    );
    let before = -1;
    await waitFor('the server to take no more', 30_000, async () => {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const now = await taken();
      const still = now === before && now > 0;
      before = now;
      return still;
    });
    expect(before).toBeLessThan(count / 4);
    stream.call.resume();
    await stream.answered(count, 60_000);
    expect(await taken()).toBe(count);
    stream.call.cancel();
  }, 120_000);

  test('over IM_MAX_IN_FLIGHT streams wait for room, and no message is refused', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await small.gateway.connect(bob, 'phone');
    small.gateway.mood = 'silent';
    const streams = [own.open(), own.open(), own.open()];
    const requests = streams.map(() =>
      Array.from({ length: 100 }, (_, i) => inPrivate(message(alice, i < 10 ? bob : unique('x')))),
    );
    streams.forEach((stream, i) => stream.write(requests[i] ?? [], 30));
    await waitFor('the process to be full', 10_000, async () => {
      const inFlight = await metric(small, 'im_service_in_flight');
      expect(inFlight).toBeLessThanOrEqual(MAX_PROCESS);
      return inFlight === MAX_PROCESS;
    });
    small.gateway.mood = 'well';
    for (const stream of streams) await stream.answered(100, 60_000);
    const answers = streams.flatMap((stream) => stream.answers.map(responseOf));
    expect(answers.filter(({ success }) => !success)).toEqual([]);
    for (const stream of streams) stream.call.end();
  }, 90_000);
});
