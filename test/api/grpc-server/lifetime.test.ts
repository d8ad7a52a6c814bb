/** Connections and the server itself: how they begin, stay and end. */
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { status } from '@grpc/grpc-js';
import type { sendUnaryData } from '@grpc/grpc-js';
import { waitFor } from '../../support/wait';
import { errorOf, grpcClient, unary } from './clients';
import { call, FLAG, FRAME, frame, headers, PATH, PREFACE, request } from './frames';
import { RawClient } from './raw-client';
import { afterwards, bareServer, cleanUp, startServer } from './server';
import type { Options } from './server';

afterEach(cleanUp);

/** A server whose unary calls wait until they are released. */
async function holding(options: Options = {}) {
  const held: (() => void)[] = [];
  const server = await startServer(
    {
      Unary: (call, answer: sendUnaryData<Buffer>) => {
        held.push(() => answer(null, call.request));
      },
    },
    options,
  );
  const begun = (count: number) =>
    waitFor(`${count} calls`, 5_000, () => Promise.resolve(server.begun() >= count));
  const release = (): void => {
    for (const each of held.splice(0)) each();
  };
  return { server, begun, release };
}

const noneBeyond = (client: RawClient): number =>
  Math.min(
    ...client.frames.filter((f) => f.type === FRAME.goaway).map((f) => f.payload.readUInt32BE()),
  );

describe('listening', () => {
  test('takes a free port and says which', async () => {
    const port = await bareServer().listen('127.0.0.1:0');
    expect(port).toBeGreaterThan(0);
    expect((await unary(grpcClient({ address: `127.0.0.1:${port}` }), 'hello')).value).toBe(
      'hello',
    );
  });

  test('fails when the port is taken', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    afterwards(() => other.close());
    const { port } = other.address() as AddressInfo;
    await expect(bareServer().listen(`127.0.0.1:${port}`)).rejects.toThrow();
  });

  test('may be on all addresses', async () => {
    const port = await bareServer().listen('0.0.0.0:0');
    expect((await unary(grpcClient({ address: `127.0.0.1:${port}` }), 'hello')).value).toBe(
      'hello',
    );
  });
});

describe('closing', () => {
  test('ends connections without calls at once, and the port is free', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    await client.roundTrip();
    await server.close(60_000);
    expect(await client.failure()).toBe('GOAWAY NO_ERROR');
    await bareServer().listen(server.address);
  });

  test('waits for calls under way', async () => {
    const { server, begun, release } = await holding();
    const client = grpcClient(server);
    const calls = Array.from({ length: 20 }, (_, i) => unary(client, String(i)));
    await begun(20);
    let isClosed = false;
    const closed = server.close(60_000).then(() => (isClosed = true));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isClosed).toBe(false);
    release();
    expect((await Promise.all(calls)).map(({ value }) => Number(value))).toEqual([
      ...Array(20).keys(),
    ]);
    await closed;
  });

  test('accepts no further connection', async () => {
    const { server, begun, release } = await holding();
    const client = await RawClient.connect(server);
    client.send(call(1));
    await begun(1);
    const closed = server.close(60_000);
    await client.frame(FRAME.goaway);
    const isRefused = await new Promise((resolve) => {
      const socket = connect(server.port, '127.0.0.1');
      socket.on('error', () => resolve(true)).on('connect', () => resolve(false));
    });
    expect(isRefused).toBe(true);
    release();
    expect((await client.answer(1)).code).toBe('0');
    await closed;
  });

  test('processes calls whole or not at all, as GOAWAY says', async () => {
    const { server, begun, release } = await holding();
    const client = await RawClient.connect(server);
    client.send(call(1), headers(3));
    await begun(1);
    const closed = server.close(60_000);
    // Calls that cross GOAWAY on their way, and one made in spite of it.
    client.send(call(5, 'five'), call(7, 'seven'));
    await client.frame(FRAME.goaway);
    client.send(call(9, 'nine'), frame(FRAME.data, FLAG.endStream, 3, Buffer.from('\0\0\0\0\0')));
    const releasing = setInterval(release, 10);
    afterwards(() => clearInterval(releasing));
    await closed;
    await client.closed();
    const last = noneBeyond(client);
    expect(last).toBeGreaterThanOrEqual(3);
    const answered = [1, 3, 5, 7, 9].filter((stream) => client.hasEnded(stream));
    expect(answered).toEqual([1, 3, 5, 7, 9].filter((stream) => stream <= last));
    for (const stream of answered) expect(client.answerOf(stream).code).toBe('0');
    expect(server.begun()).toBe(answered.length);
  });

  test('loses no call of clients that go elsewhere', async () => {
    const first = await startServer();
    const client = grpcClient(first);
    const codes: number[] = [];
    let isOver = false;
    const caller = async (): Promise<void> => {
      while (!isOver) {
        const code = await unary(client, 'x').then(
          () => 0,
          (error: { code: number }) => error.code,
        );
        codes.push(code);
        if (code !== 0) return;
      }
    };
    const callers = Array.from({ length: 50 }, caller);
    await waitFor('calls', 5_000, () => Promise.resolve(codes.length > 200));
    await first.close(60_000);
    isOver = true;
    await Promise.all(callers);
    // What fails was not begun: a client may send it again.
    expect(
      new Set(codes.filter((code) => code !== 0 && code !== Number(status.UNAVAILABLE))).size,
    ).toBe(0);
    expect(first.begun()).toBe(codes.filter((code) => code === 0).length);
  });

  test('waits for streams, also for their unread answers', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server, { settings: [[4, 0]] });
    client.send(headers(1, request(PATH.chat)), call(3, '1 1000', PATH.download));
    await client.roundTrip();
    const closed = server.close(60_000);
    await client.frame(FRAME.goaway);
    client.send(frame(FRAME.data, FLAG.endStream, 1, Buffer.from('\0\0\0\0\u0001x')));
    client.send(frame(FRAME.settings, 0, 0, Buffer.from([0, 4, 0, 0, 255, 255])));
    expect((await client.answer(1)).body.toString('latin1', 5)).toBe('x');
    expect((await client.answer(3)).body).toHaveLength(1_005);
    await closed;
  });

  test('ends by force what lasts longer than the grace', async () => {
    let cancelled = 0;
    const server = await startServer({
      Unary: () => undefined,
      Chat: (chat) => chat.on('cancelled', () => (cancelled += 1)),
    });
    const client = grpcClient(server);
    const raw = await RawClient.connect(server);
    raw.send(headers(1, request(PATH.chat)));
    const failing = errorOf(unary(client, 'x'));
    await waitFor('both calls', 5_000, () => Promise.resolve(server.begun() === 2));
    await server.close(100);
    await raw.closed();
    expect([status.UNAVAILABLE, status.CANCELLED]).toContain((await failing).code);
    await waitFor('the handler', 5_000, () => Promise.resolve(cancelled === 1));
  });

  test('ends by force, too, connections that have not said anything', async () => {
    const server = await startServer();
    const silent = await RawClient.connect(server, { greeting: Buffer.alloc(0) });
    const began = Date.now();
    await server.close(500);
    await silent.closed();
    expect(Date.now() - began).toBeLessThan(5_000);
  });
});

describe('a client that says GOAWAY', () => {
  test('still gets the answers to its calls, and the connection ends with it', async () => {
    const { server, begun, release } = await holding();
    const client = await RawClient.connect(server);
    client.send(call(1), frame(FRAME.goaway, 0, 0, Buffer.alloc(8)));
    await begun(1);
    release();
    expect((await client.answer(1)).code).toBe('0');
    client.socket.end();
    await client.closed();
  });
});

describe('keepalive', () => {
  const options = { keepaliveMs: 50, keepaliveTimeoutMs: 100 };

  test('leaves a connection alone that answers', async () => {
    const client = await RawClient.connect(await startServer({}, { ...options }));
    const answered = new Set<object>();
    await client.until('PINGs', () => {
      for (const f of client.frames) {
        if (f.type !== FRAME.ping || f.flags & FLAG.ack || answered.has(f)) continue;
        answered.add(f);
        expect(f.payload).toHaveLength(8);
        client.send(frame(FRAME.ping, FLAG.ack, 0, f.payload));
      }
      return answered.size >= 6;
    });
    expect(await client.serves(1)).toBe(true);
  });

  test('gives up a connection that does not, and cancels its calls', async () => {
    let cancelled = 0;
    const server = await startServer(
      { Chat: (chat) => chat.on('cancelled', () => (cancelled += 1)) },
      options,
    );
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat)));
    await client.closed();
    expect(client.count(FRAME.ping)).toBeGreaterThan(0);
    await waitFor('the handler', 5_000, () => Promise.resolve(cancelled === 1));
  });
});

describe('the handshake', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['half a preface', PREFACE.subarray(0, 10)],
    ['a preface without settings', PREFACE],
  ])('that is %s costs so much time and no more', async (_, greeting) => {
    const server = await startServer({}, { handshakeMs: 200 });
    const client = await RawClient.connect(server, { greeting });
    await client.closed();
  });

  test('once made, is not timed', async () => {
    const client = await RawClient.connect(await startServer({}, { handshakeMs: 50 }));
    await client.roundTrip();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await client.serves(1)).toBe(true);
  });

  test.each([
    ['HTTP/1.1', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['an upgrade', 'GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n'],
    ['TLS', '\u0016\u0003\u0001\u0002\u0000\u0001\u0000\u0001\u00fc\u0003\u0003aaaaaaaaaaaaaaaaa'],
    ['noise', 'x'.repeat(10_000)],
    ['a preface with a slip at its end', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\t'],
  ])('of %s is the end of a connection, and of no other', async (_, text) => {
    const server = await startServer();
    const good = await RawClient.connect(server);
    const socket = connect(server.port, '127.0.0.1');
    afterwards(() => socket.destroy());
    socket.on('error', () => undefined);
    socket.resume();
    socket.write(Buffer.from(text, 'latin1'));
    await new Promise((resolve) => socket.on('close', resolve));
    expect(await good.serves(1)).toBe(true);
    expect(server.begun()).toBe(1);
  });

  test('whose first frame is not SETTINGS is a PROTOCOL_ERROR', async () => {
    const greeting = Buffer.concat([PREFACE, call(1)]);
    const client = await RawClient.connect(await startServer(), { greeting });
    expect(await client.failure()).toBe('GOAWAY PROTOCOL_ERROR');
  });
});
