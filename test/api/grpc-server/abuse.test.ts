/** Clients that mean harm: they are ended or held back, and others are served meanwhile. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { waitFor } from '../../support/wait';
import {
  call,
  data,
  DEFAULT_WINDOW,
  encodeHeaders,
  FLAG,
  FRAME,
  frame,
  headers,
  LARGEST_WINDOW,
  message,
  numberFrame,
  PATH,
  ping,
  request,
  reset,
  SETTING,
  settingsFrame,
} from './frames';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';
import type { TestServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
const EMPTY = Buffer.alloc(0);
const MIB = 2 ** 20;
const grant = (stream: number, bytes: number) => numberFrame(FRAME.windowUpdate, stream, bytes);
const odd = (count: number) => Array.from({ length: count }, (_, i) => 2 * i + 1);

/** Beside whatever another client does, one is served. */
async function othersAreServed(server: TestServer): Promise<void> {
  const other = await RawClient.connect(server);
  for (const stream of [1, 3, 5]) expect(await other.serves(stream)).toBe(true);
  other.socket.destroy();
}

/** The end, which may come so fast that what is said of it is lost. */
async function isEnded(client: RawClient, as = /ENHANCE_YOUR_CALM/): Promise<void> {
  await client.closed();
  const how = client.frames.some((f) => f.type === FRAME.goaway) ? await client.failure() : 'lost';
  if (how !== 'lost') expect(how).toMatch(as);
}

describe('rapid reset', () => {
  const pair = (stream: number) => [headers(stream), reset(stream)];

  test('is the end of a connection, and of no other', async () => {
    const server = await startServer();
    const good = await RawClient.connect(server);
    const client = await RawClient.connect(server);
    client.send(...odd(3_000).flatMap(pair));
    await isEnded(client);
    expect(await good.serves(1)).toBe(true);
    await othersAreServed(server);
  });

  test('is told so', async () => {
    const client = await RawClient.connect(await startServer());
    for (const stream of odd(950)) {
      client.send(...pair(stream));
      // Never so much at once that what is unread resets the connection under the answer.
      if (stream % 100 === 1) await client.roundTrip();
    }
    for (let stream = 3_001; !client.isClosed; stream += 2) {
      client.send(...pair(stream));
      await sleep(1);
    }
    expect(await client.failure()).toBe('GOAWAY ENHANCE_YOUR_CALM');
  });

  test('is not what clients do that cancel now and then', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(...odd(900).flatMap(pair));
    expect(await client.serves(5_001)).toBe(true);
  });

  test('may not be had by making the server reset', async () => {
    const server = await startServer({ Chat: () => undefined });
    const ways: ((stream: number) => Buffer)[] = [
      (stream) => grant(stream, 0),
      (stream) => grant(stream, LARGEST_WINDOW),
      (stream) => headers(stream, request(PATH.chat)),
    ];
    for (const way of ways) {
      const client = await RawClient.connect(server);
      const parts = odd(3_000).flatMap((stream) => [
        headers(stream, request(PATH.chat)),
        way(stream),
      ]);
      client.send(...parts);
      await isEnded(client, /ENHANCE_YOUR_CALM|PROTOCOL_ERROR/);
    }
    await othersAreServed(server);
  });
});

describe('CONTINUATION', () => {
  test.each([
    ['many small', 100, 1],
    ['many empty', 10_000, 0],
    ['few large', 8, 16_384],
  ])('%s without an end are too much', async (_, count, size) => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    client.send(frame(FRAME.headers, 0, 1, encodeHeaders(request())));
    // A header of which there is always more.
    client.send(frame(FRAME.continuation, 0, 1, Buffer.of(0, 1, 0x78, 0x7f, 0xff, 0xff, 0x7f)));
    for (let i = 0; i < count; i++) {
      client.send(frame(FRAME.continuation, 0, 1, Buffer.alloc(size, 'x')));
    }
    await isEnded(client, /ENHANCE_YOUR_CALM|COMPRESSION_ERROR|PROTOCOL_ERROR/);
    await othersAreServed(server);
    expect(server.begun()).toBe(3);
  });
});

describe('a client that does not read', () => {
  /** Sends until it is ended or nothing more is taken; resolves with how much was taken. */
  async function pour(client: RawClient, bytes: Buffer, most: number): Promise<number> {
    const { socket } = client;
    let taken = 0;
    let before = -1;
    for (let quiet = 0; quiet < 30 && taken < most && !socket.destroyed;) {
      while (socket.writableLength < 2 * MIB && !socket.destroyed) socket.write(bytes);
      await sleep(10);
      taken = socket.bytesWritten - socket.writableLength;
      quiet = taken === before ? quiet + 1 : 0;
      before = taken;
    }
    return taken;
  }

  test.each([
    ['PING', ping()],
    ['SETTINGS', settingsFrame([[SETTING.initialWindowSize, 100]])],
    ['empty SETTINGS', settingsFrame([])],
    ['calls to nowhere', EMPTY],
  ])('may not have answers to %s pile up', async (name, one) => {
    const server = await startServer();
    const client = await RawClient.connect(server, { reads: false });
    let bytes = Buffer.concat(Array<Buffer>(5_000).fill(one));
    if (name === 'calls to nowhere') {
      bytes = Buffer.concat(odd(200_000).map((stream) => headers(stream, request('/x'), END)));
    }
    const taken = await pour(client, bytes, 40 * MIB);
    expect(taken).toBeLessThan(40 * MIB);
    await othersAreServed(server);
  });

  test('is not answered for ever, however large its windows', async () => {
    const size = 100_000;
    const server = await startServer(
      { Unary: (_call, answer) => setImmediate(() => answer(null, Buffer.alloc(size))) },
      { maxStreams: 50 },
    );
    const client = await RawClient.connect(server, {
      settings: [[SETTING.initialWindowSize, LARGEST_WINDOW]],
      reads: false,
    });
    client.send(grant(0, LARGEST_WINDOW - DEFAULT_WINDOW));
    for (let i = 0; i < 2_000; i += 10) {
      client.send(...odd(10).map((_, j) => call(2 * (i + j) + 1)));
      await sleep(1);
    }
    expect(server.begun() * size).toBeLessThan(64 * MIB);
  });
});

describe('requests that are never finished', () => {
  /** Sends as much of 40 requests of 4 MB as is allowed; resolves with how many are kept. */
  async function hoard(client: RawClient, body: Buffer): Promise<number> {
    const isOver = (stream: number) =>
      client.hasEnded(stream) || client.count(FRAME.rstStream, stream) > 0 || client.isClosed;
    let sent = 0;
    let kept = 0;
    for (const stream of odd(40)) {
      client.send(headers(stream));
      for (let at = 0; at < body.length && !isOver(stream); at += 16_384) {
        const part = body.subarray(at, at + 16_384);
        sent += part.length;
        const [ofStream, ofAll] = [at + part.length, sent];
        await client.until('room', () => {
          const hasRoom = client.allowed(stream) >= ofStream && client.allowed(0) >= ofAll;
          return hasRoom || isOver(stream);
        });
        client.send(data(stream, part));
      }
      await client.roundTrip();
      if (!isOver(stream)) kept += 1;
    }
    return kept;
  }

  test.each([
    ['cut off', message(Buffer.alloc(4 * MIB)).subarray(0, -1)],
    ['whole, but without an end', message(Buffer.alloc(4 * MIB))],
  ])('are not all kept: %s', async (_, body) => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    await client.roundTrip();
    expect(await hoard(client, body)).toBeLessThan(40);
    await othersAreServed(server);
    expect(await client.serves(1_001)).toBe(true);
  });
});

describe('frames that say nothing', () => {
  test.each([
    [
      'empty DATA',
      [headers(1, request(PATH.chat)), ...Array<Buffer>(100_000).fill(data(1, EMPTY))],
    ],
    ['priorities', Array<Buffer>(50_000).fill(frame(FRAME.priority, 0, 1, Buffer.alloc(5, 1)))],
    ['unknown frames', Array<Buffer>(100_000).fill(frame(0x77, 0, 1, EMPTY))],
    ['window updates', [headers(1), ...Array<Buffer>(30_000).fill(grant(1, 1))]],
  ])('%s, many of them, harm nobody', async (_, parts) => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    client.send(...parts);
    await othersAreServed(server);
    if (!client.isClosed) await client.roundTrip().catch(() => undefined);
    await othersAreServed(server);
  });
});

test('DATA that crosses the refusal of its call is not the fault of the client', async () => {
  const server = await startServer();
  const client = await RawClient.connect(server);
  await client.roundTrip();
  // Each call is refused at its headers; what follows was sent before that was known.
  for (const stream of odd(1_500)) {
    client.send(headers(stream, request('/no.Such/Method')));
    client.send(data(stream, 'x'), data(stream, 'y', END));
    if (stream % 100 === 1) await client.roundTrip();
  }
  for (const stream of odd(1_500)) expect((await client.answer(stream)).code).toBe('12');
  expect(await client.serves(4_001)).toBe(true);
});

test('streams that end each other while windows change end once', async () => {
  const chats: ServerDuplexStream<Buffer, Buffer>[] = [];
  const server = await startServer({ Chat: (chat) => void chats.push(chat) });
  const widenings = [
    [settingsFrame([[SETTING.initialWindowSize, MIB]]), grant(0, MIB)],
    [grant(0, MIB), grant(1, MIB)],
  ];
  for (const widening of widenings) {
    chats.length = 0;
    const client = await RawClient.connect(server);
    client.send(...[1, 3, 5].map((stream) => headers(stream, request(PATH.chat))));
    await waitFor('the calls', 5_000, () => Promise.resolve(chats.length === 3));
    // More than the window: what waits is written when it widens, and then all of them end.
    for (const chat of [0, 2]) {
      chats[chat]?.write(Buffer.alloc(70_000), () => {
        for (const each of chats) each.end();
      });
    }
    await client.roundTrip();
    client.send(...widening);
    await client.answer(3);
    client.send(grant(1, MIB), grant(5, MIB));
    for (const stream of [1, 5]) await client.answer(stream);
    await client.roundTrip();
    for (const stream of [1, 3, 5]) {
      const ends = client.frames.filter(
        (f) => f.stream === stream && f.type === 1 && f.flags & END,
      );
      expect(ends).toHaveLength(1);
    }
    client.socket.destroy();
  }
});
