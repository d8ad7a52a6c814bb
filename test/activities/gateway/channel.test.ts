/** Our own gRPC client for gateways, against grpc-js, which gateways may be built on. */
import { status } from '@grpc/grpc-js';
import { waitFor } from '../../support/wait';
import {
  codeOf,
  DEADLINE_MS,
  gateways,
  grpcServer,
  push,
  PUSH,
  REACHED,
  SHORT_MS,
  cleanUp,
} from './servers';

afterEach(cleanUp);

describe('calls to a grpc-js server', () => {
  test('carries a push to the field, and its answer', async () => {
    const seen: object[] = [];
    const [, address] = await grpcServer((call, answer) => {
      seen.push(call.request);
      answer(null, { ...REACHED, failed_devices: ['tablet'], error_message: 'one is away' });
    });
    const request = { ...PUSH, content: 'grüße 👋 '.repeat(500), sequence_number: 2 ** 45 };
    const response = await push(gateways(), address, DEADLINE_MS, request);
    expect(seen).toEqual([request]);
    expect(response).toEqual({
      ...REACHED,
      failed_devices: ['tablet'],
      error_message: 'one is away',
    });
  });

  test('hands on a success that reached nobody', async () => {
    const [, address] = await grpcServer((_, answer) =>
      answer(null, { ...REACHED, delivered_count: 0 }),
    );
    expect(await push(gateways(), address)).toEqual({ ...REACHED, delivered_count: 0 });
  });

  test('hands on every status and its text', async () => {
    const codes = Object.values(status).filter(
      (c): c is status => c !== status.OK && typeof c === 'number',
    );
    let next = 0;
    const [, address] = await grpcServer((_, answer) =>
      answer({ code: codes[next++], details: 'weil 100 % nicht geht: ü' }),
    );
    const to = gateways();
    for (const code of codes) {
      await expect(push(to, address)).rejects.toMatchObject({
        code,
        message: expect.stringContaining('weil 100 % nicht geht: ü') as string,
      });
    }
  });

  test('tells the gateway the deadline, and is over at it when nobody answers', async () => {
    let deadline = 0;
    let cancelled = 0;
    const [, address] = await grpcServer((call) => {
      deadline = (call.getDeadline() as number) - Date.now();
      call.on('cancelled', () => (cancelled += 1));
    });
    const to = gateways();
    expect(await codeOf(push(to, address, SHORT_MS))).toBe('DEADLINE_EXCEEDED');
    expect(deadline).toBeGreaterThan(0);
    expect(deadline).toBeLessThanOrEqual(SHORT_MS);
    await waitFor('the gateway to hear of it', 2_000, () => Promise.resolve(cancelled === 1));
  });

  test('carries thousands of calls at once, in the order they were made', async () => {
    const seen: number[] = [];
    const [, address] = await grpcServer((call, answer) => {
      seen.push(call.request.sequence_number);
      setTimeout(() => answer(null, REACHED), Math.random() * 20);
    });
    const to = gateways();
    const numbers = Array.from({ length: 3_000 }, (_, i) => i);
    await Promise.all(
      numbers.map((n) => push(to, address, 20_000, { ...PUSH, sequence_number: n })),
    );
    expect(seen).toEqual(numbers);
  });

  test('waits for streams and windows that a gateway has few of', async () => {
    const [, address] = await grpcServer(
      (call, answer) =>
        setImmediate(() => answer(null, { ...REACHED, error_message: call.request.content })),
      { 'grpc.max_concurrent_streams': 3 },
    );
    const to = gateways();
    const content = 'x'.repeat(10_000);
    const answers = await Promise.all(
      Array.from({ length: 200 }, () => push(to, address, 20_000, { ...PUSH, content })),
    );
    expect(answers).toEqual(answers.map(() => ({ ...REACHED, error_message: content })));
  });

  test('fails at once where nobody listens, and reaches who listens later', async () => {
    const [server, address] = await grpcServer((_, answer) => answer(null, REACHED));
    server.forceShutdown();
    const to = gateways();
    expect(await codeOf(push(to, address))).toBe('UNAVAILABLE');
    expect(await codeOf(push(to, address))).toBe('UNAVAILABLE');
    await grpcServer((_, answer) => answer(null, REACHED), {}, Number(address.split(':')[1]));
    await waitFor('the gateway to be reached', 5_000, async () => {
      return (await codeOf(push(to, address))) === 'OK';
    });
  });

  test('goes on when a gateway restarts: GOAWAY lets calls under way end', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const [first, address] = await grpcServer((_, answer) => {
      void held.then(() => answer(null, REACHED));
    });
    const to = gateways();
    const underWay = push(to, address);
    await codeOf(push(to, address, SHORT_MS));
    first.tryShutdown(() => undefined);
    const port = Number(address.split(':')[1]);
    await waitFor('the port to be free', 5_000, async () => {
      try {
        await grpcServer(
          (_, answer) => answer(null, { ...REACHED, error_message: 'second' }),
          {},
          port,
        );
        return true;
      } catch {
        return false;
      }
    });
    expect(await push(to, address)).toMatchObject({ error_message: 'second' });
    release();
    expect(await underWay).toEqual(REACHED);
  });

  test('refuses a response that is too large, and goes on', async () => {
    const [, address] = await grpcServer((call, answer) =>
      answer(null, call.request.content === 'big' ? { error_message: 'x'.repeat(5e6) } : REACHED),
    );
    const to = gateways();
    expect(await codeOf(push(to, address, DEADLINE_MS, { ...PUSH, content: 'big' }))).toBe(
      'RESOURCE_EXHAUSTED',
    );
    expect(await push(to, address)).toEqual(REACHED);
  });

  test('ends calls under way, then its connection, when closed', async () => {
    const [server, address] = await grpcServer((_, answer) => {
      setTimeout(() => answer(null, REACHED), 100);
    });
    const to = gateways();
    const underWay = push(to, address);
    to.close();
    expect(await underWay).toEqual(REACHED);
    await new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
  });
});
