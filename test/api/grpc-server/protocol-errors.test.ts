/** What breaks the protocol ends a stream or a connection, with the right code (RFC 9113, §5.4). */
import {
  block,
  call,
  data,
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

afterEach(cleanUp);

const END = FLAG.endStream;
const EMPTY = Buffer.alloc(0);
const CHAT = request(PATH.chat);
const bytes = (...values: number[]) => Buffer.from(values);
const update = (stream: number, by: number) => numberFrame(FRAME.windowUpdate, stream, by);
const setting = (id: number, value: number) => settingsFrame([[id, value]]);
const cut = (stream: number) => frame(FRAME.headers, 0, stream, encodeHeaders(CHAT).subarray(0, 5));

/** A client with a stream 1 that is open, and a second client, to see that it is not concerned. */
async function pair() {
  const server = await startServer({ Unary: (_call, answer) => answer(null, _call.request) });
  const client = await RawClient.connect(server);
  const other = await RawClient.connect(server);
  client.send(headers(1, CHAT));
  await client.roundTrip();
  return { client, other, server };
}

async function endsConnection(parts: Buffer[], code: string): Promise<void> {
  const { client, other } = await pair();
  client.send(...parts);
  expect(await client.failure()).toBe(`GOAWAY ${code}`);
  expect(await other.serves(1)).toBe(true);
}

type Case = [name: string, parts: Buffer[]];

const protocol: Case[] = [
  ['DATA on stream 0', [data(0, 'x')]],
  ['DATA on an idle stream', [data(3, 'x')]],
  [
    'DATA with more padding than payload',
    [frame(FRAME.data, FLAG.padded, 1, bytes(5, 1, 1, 1, 1))],
  ],
  ['HEADERS on stream 0', [block(0, encodeHeaders(CHAT))]],
  ['HEADERS of an even number', [headers(2, CHAT)]],
  ['HEADERS with more padding than payload', [frame(FRAME.headers, 0xc, 3, bytes(9, 0x83))]],
  ['RST_STREAM on stream 0', [reset(0)]],
  ['RST_STREAM on an idle stream', [reset(3)]],
  ['SETTINGS on a stream', [frame(FRAME.settings, 0, 1, EMPTY)]],
  ['SETTINGS_ENABLE_PUSH of 2', [setting(SETTING.enablePush, 2)]],
  ['SETTINGS_MAX_FRAME_SIZE below 2^14', [setting(SETTING.maxFrameSize, 16_383)]],
  ['SETTINGS_MAX_FRAME_SIZE of 2^24', [setting(SETTING.maxFrameSize, 2 ** 24)]],
  ['PUSH_PROMISE', [frame(FRAME.pushPromise, FLAG.endHeaders, 1, bytes(0, 0, 0, 2, 0x83))]],
  ['PING on a stream', [frame(FRAME.ping, 0, 1, Buffer.alloc(8))]],
  ['GOAWAY on a stream', [frame(FRAME.goaway, 0, 1, Buffer.alloc(8))]],
  ['WINDOW_UPDATE of 0 on the connection', [update(0, 0)]],
  ['WINDOW_UPDATE on an idle stream', [update(3, 1)]],
  ['PRIORITY on stream 0', [frame(FRAME.priority, 0, 0, Buffer.alloc(5))]],
  ['CONTINUATION of nothing', [frame(FRAME.continuation, 4, 1, encodeHeaders(CHAT))]],
  ['CONTINUATION of headers that are whole', [headers(3, CHAT), frame(9, 4, 3, bytes(0x83))]],
  ['CONTINUATION of another stream', [cut(3), frame(9, 4, 5, encodeHeaders(CHAT).subarray(5))]],
  ['another frame inside of headers', [cut(3), ping()]],
  ['DATA inside of headers', [cut(3), data(1, 'x')]],
  ['an unknown frame inside of headers', [cut(3), frame(0x42, 0, 3, EMPTY)]],
  ['HEADERS inside of headers', [cut(3), headers(5, CHAT)]],
];

const frameSize: Case[] = [
  ['DATA', [frame(FRAME.data, 0, 1, Buffer.alloc(16_385))]],
  ['HEADERS', [frame(FRAME.headers, FLAG.endHeaders, 3, Buffer.alloc(16_385))]],
  ['an unknown frame', [frame(0x42, 0, 0, Buffer.alloc(16_385))]],
  ['a head that says 16 MB', [Buffer.from('ffffff000000000001', 'hex')]],
  ['RST_STREAM of 3 bytes', [frame(FRAME.rstStream, 0, 1, Buffer.alloc(3))]],
  ['RST_STREAM of 5 bytes', [frame(FRAME.rstStream, 0, 1, Buffer.alloc(5))]],
  ['SETTINGS of 5 bytes', [frame(FRAME.settings, 0, 0, Buffer.alloc(5))]],
  ['an ack of SETTINGS with bytes', [frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(6))]],
  ['PING of 7 bytes', [frame(FRAME.ping, 0, 0, Buffer.alloc(7))]],
  ['PING of 9 bytes', [frame(FRAME.ping, 0, 0, Buffer.alloc(9))]],
  ['an ack of PING of 0 bytes', [frame(FRAME.ping, FLAG.ack, 0, EMPTY)]],
  ['GOAWAY of 7 bytes', [frame(FRAME.goaway, 0, 0, Buffer.alloc(7))]],
  ['WINDOW_UPDATE of 3 bytes', [frame(FRAME.windowUpdate, 0, 0, Buffer.alloc(3))]],
  ['WINDOW_UPDATE of 5 bytes', [frame(FRAME.windowUpdate, 0, 1, Buffer.alloc(5))]],
];

describe('a PROTOCOL_ERROR of the connection', () => {
  test.each(protocol)('is %s', (_, parts) => endsConnection(parts, 'PROTOCOL_ERROR'));
});

describe('a FRAME_SIZE_ERROR of the connection', () => {
  test.each(frameSize)('is %s', (_, parts) => endsConnection(parts, 'FRAME_SIZE_ERROR'));
});

describe('a FLOW_CONTROL_ERROR of the connection', () => {
  test.each<Case>([
    ['WINDOW_UPDATE beyond 2^31-1', [update(0, LARGEST_WINDOW)]],
    ['the same in steps', [update(0, 2 ** 30), update(0, 2 ** 30)]],
    ['SETTINGS_INITIAL_WINDOW_SIZE of 2^31', [setting(SETTING.initialWindowSize, 2 ** 31)]],
    [
      'SETTINGS_INITIAL_WINDOW_SIZE that takes a stream beyond 2^31-1',
      [update(1, LARGEST_WINDOW - 65_535), setting(SETTING.initialWindowSize, 65_536)],
    ],
  ])('is %s', (_, parts) => endsConnection(parts, 'FLOW_CONTROL_ERROR'));
});

describe('an error of the stream alone', () => {
  test.each<[string, Buffer[], string]>([
    ['WINDOW_UPDATE beyond 2^31-1', [update(1, LARGEST_WINDOW)], 'FLOW_CONTROL_ERROR'],
    ['HEADERS amidst messages', [block(1, encodeHeaders([['x', 'y']]))], 'PROTOCOL_ERROR'],
  ])('is %s', async (_, parts, code) => {
    const { client } = await pair();
    client.send(...parts);
    expect(await client.failure(1)).toBe(`RST_STREAM ${code}`);
    expect(await client.serves(3)).toBe(true);
  });

  test('is WINDOW_UPDATE of 0', async () => {
    const { client } = await pair();
    client.send(update(1, 0));
    expect(await client.failure(1)).toBe('RST_STREAM PROTOCOL_ERROR');
    expect(await client.serves(3)).toBe(true);
  });

  test('is, or is one of the connection, PRIORITY of a wrong length', async () => {
    const { client, other } = await pair();
    client.send(frame(FRAME.priority, 0, 1, Buffer.alloc(4)));
    expect(await client.failure(1)).toMatch(/^(GOAWAY|RST_STREAM) FRAME_SIZE_ERROR$/);
    expect(await other.serves(1)).toBe(true);
  });
});

describe('a stream whose request is over', () => {
  async function halfClosed() {
    let cancelled = 0;
    const server = await startServer({
      Download: (stream) => stream.on('cancelled', () => (cancelled += 1)),
    });
    const client = await RawClient.connect(server);
    client.send(call(1, 'x', PATH.download));
    await client.roundTrip();
    return { server, client, cancelled: () => cancelled };
  }

  test.each<Case>([
    ['DATA', [data(1, message('more'))]],
    ['an empty end', [data(1, EMPTY, END)]],
    ['HEADERS', [headers(1, CHAT)]],
    ['trailers', [block(1, encodeHeaders([['x', 'y']]), END)]],
  ])('takes no %s', async (_, parts) => {
    const { client, server } = await halfClosed();
    client.send(...parts);
    expect(await client.failure(1)).toMatch(/^(GOAWAY|RST_STREAM) STREAM_CLOSED$/);
    const other = await RawClient.connect(server);
    expect(await other.serves(1)).toBe(true);
  });

  test('still takes WINDOW_UPDATE, PRIORITY and RST_STREAM', async () => {
    const { client, cancelled } = await halfClosed();
    client.send(
      update(1, 100),
      frame(FRAME.priority, 0, 1, Buffer.from([0, 0, 0, 0, 1])),
      reset(1),
    );
    expect(await client.serves(3)).toBe(true);
    expect(cancelled()).toBe(1);
  });
});

describe('a stream that is over', () => {
  const late: Case[] = [
    ['DATA', [data(1, message('late'))]],
    ['an end', [data(1, EMPTY, END)]],
    ['HEADERS', [headers(1, CHAT, END)]],
  ];

  // A server may have forgotten it: what is late is then ignored, or an error, but no call.
  test.each([
    ...late.map(([name, parts]): Case => [`${name} after its answer`, [call(1), ...parts]]),
    ...late.map(([name, parts]): Case => [
      `${name} after its reset`,
      [headers(1), reset(1), ...parts],
    ]),
  ])('is not begun again by %s', async (_, parts) => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    for (const part of parts) {
      client.send(part);
      await client.roundTrip().catch(() => undefined);
    }
    const begun = server.begun();
    if (client.isClosed) {
      expect(await client.failure()).toMatch(/^GOAWAY (STREAM_CLOSED|PROTOCOL_ERROR)$/);
    } else {
      expect(await client.serves(3)).toBe(true);
      expect(server.begun()).toBe(begun + 1);
    }
    expect(begun).toBeLessThanOrEqual(1);
  });

  test('and streams that were left out cannot be begun', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    expect(await client.serves(9)).toBe(true);
    client.send(call(5));
    const how = await client.failure(5);
    expect(how).toMatch(/^GOAWAY (PROTOCOL_ERROR|STREAM_CLOSED)$/);
    expect(server.begun()).toBe(1);
  });
});

describe('more streams than allowed', () => {
  test('are refused, and served when there is room again', async () => {
    const held: (() => void)[] = [];
    const server = await startServer(
      { Unary: (unary, answer) => void held.push(() => answer(null, unary.request)) },
      { maxStreams: 3 },
    );
    const client = await RawClient.connect(server);
    await client.roundTrip();
    client.send(call(1), call(3), call(5), call(7), call(9));
    expect(await client.failure(7)).toBe('RST_STREAM REFUSED_STREAM');
    expect(await client.failure(9)).toBe('RST_STREAM REFUSED_STREAM');
    expect(server.begun()).toBe(3);
    client.send(reset(1));
    await client.roundTrip();
    client.send(call(11));
    await client.roundTrip();
    expect(server.begun()).toBe(4);
    for (const release of held) release();
    for (const stream of [3, 5, 11]) expect((await client.answer(stream)).code).toBe('0');
    client.send(call(13), call(15), call(17));
    await client.roundTrip();
    for (const release of held) release();
    for (const stream of [13, 15, 17]) expect((await client.answer(stream)).code).toBe('0');
  });
});
