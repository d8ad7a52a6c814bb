/** Frames as they may come: cut and joined, padded, unknown, in any order that is allowed (RFC 9113, §4 to §6). */
import { h2, post } from './clients';
import {
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
  padded,
  PATH,
  ping,
  PREFACE,
  readSettings,
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
const ACK = frame(FRAME.settings, FLAG.ack, 0, EMPTY);
const GREETING = Buffer.concat([PREFACE, settingsFrame([[SETTING.headerTableSize, 0]])]);
const priority = (on: number, stream = 0) => {
  const payload = Buffer.from([0, 0, 0, 0, 15]);
  payload.writeUInt32BE(on);
  return stream > 0 ? frame(FRAME.priority, 0, stream, payload) : payload;
};

describe('bytes', () => {
  const talk = Buffer.concat([
    GREETING,
    ACK,
    call(1, 'first'),
    ping(),
    headers(3, request(PATH.chat)),
    data(3, message('second')),
    data(3, EMPTY, END),
  ]);

  async function understood(client: RawClient): Promise<void> {
    expect((await client.answer(1)).body).toEqual(message('first'));
    expect((await client.answer(3)).body).toEqual(message('second'));
    expect((await client.frame(FRAME.ping)).payload.toString()).toBe('whatever');
  }

  test('may be cut anywhere', async () => {
    const server = await startServer();
    for (let cut = 1; cut < talk.length; cut++) {
      const client = await RawClient.connect(server, { greeting: EMPTY });
      await client.sendApart(talk.subarray(0, cut), talk.subarray(cut));
      await understood(client);
      client.socket.destroy();
    }
  });

  test.each([1, 2, 5, 8, 9, 10, 13])('may come %i at a time', async (size) => {
    const client = await RawClient.connect(await startServer(), { greeting: EMPTY });
    for (let at = 0; at < talk.length; at += size) {
      await client.sendApart(talk.subarray(at, at + size));
    }
    await understood(client);
  });

  test('may be many frames at once', async () => {
    const server = await startServer();
    const streams = Array.from({ length: 2_000 }, (_, i) => 2 * i + 1);
    const client = await RawClient.connect(server, { greeting: EMPTY });
    client.send(GREETING, ACK, ...streams.map((stream) => call(stream, String(stream))));
    client.send(numberFrame(FRAME.windowUpdate, 0, 10_000_000));
    await client.until('the last', () => streams.every((stream) => client.hasEnded(stream)));
    for (const stream of streams) expect(client.bodyOf(stream)).toEqual(message(String(stream)));
    expect(server.begun()).toBe(2_000);
  });

  test('of several calls may be mixed', async () => {
    const client = await RawClient.connect(await startServer());
    const body = message('a message of some length');
    client.send(headers(1), headers(3), headers(5));
    for (let i = 0; i < body.length; i++) {
      const flags = i + 1 === body.length ? END : 0;
      client.send(...[5, 1, 3].map((stream) => data(stream, body.subarray(i, i + 1), flags)));
    }
    for (const stream of [1, 3, 5]) expect((await client.answer(stream)).body).toEqual(body);
  });
});

describe('SETTINGS', () => {
  test('are sent first, with the most streams, and acknowledged each', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(settingsFrame([]), settingsFrame([[SETTING.maxFrameSize, 2 ** 24 - 1]]));
    await client.until('three acks', () => {
      return (
        client.frames.filter((f) => f.type === FRAME.settings && f.flags === FLAG.ack).length === 3
      );
    });
    const [first] = client.frames;
    expect(first).toMatchObject({ type: FRAME.settings, flags: 0, stream: 0 });
    const settings = new Map(readSettings(first?.payload ?? EMPTY));
    expect(settings.get(SETTING.maxConcurrentStreams)).toBe(10_000);
    expect(client.count(FRAME.goaway)).toBe(0);
  });

  test('that nobody knows are ignored, and each kind may come often', async () => {
    const client = await RawClient.connect(await startServer());
    const odd: [number, number][] = [
      [0x4242, 1],
      [0xffff, 0xffffffff],
      [SETTING.enablePush, 0],
      [SETTING.maxConcurrentStreams, 0],
      [6, 1],
      [8, 1],
      [SETTING.initialWindowSize, LARGEST_WINDOW],
      [SETTING.initialWindowSize, 65_535],
    ];
    client.send(settingsFrame(odd), settingsFrame([...odd, ...odd]));
    expect(await client.serves(1)).toBe(true);
  });

  test('change the frame size of nothing that may not be larger', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(numberFrame(FRAME.windowUpdate, 0, 1_000_000));
    client.send(settingsFrame([[SETTING.initialWindowSize, 1_000_000]]));
    client.send(call(1, '1 500000', PATH.download));
    // The reader fails on frames above the default of 16,384 bytes.
    expect((await client.answer(1)).body).toHaveLength(500_005);
  });
});

describe('PING', () => {
  test('is answered with what it says, and an ack is not answered', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(ping('no reply', FLAG.ack), ping('12345678'), ping('abcdefgh'));
    await client.until('two', () => client.count(FRAME.ping) === 2);
    await client.roundTrip();
    const pings = client.frames.filter((f) => f.type === FRAME.ping).slice(0, 2);
    expect(pings.map((f) => [f.flags, f.payload.toString()])).toEqual([
      [FLAG.ack, '12345678'],
      [FLAG.ack, 'abcdefgh'],
    ]);
    expect(client.frames.some((f) => f.payload.toString() === 'no reply')).toBe(false);
  });
});

describe('HEADERS', () => {
  const block = encodeHeaders(request());
  const body = data(1, message('hello'), END);

  test.each([
    ['padded', padded([FRAME.headers, FLAG.endHeaders, 1], block, 200)],
    ['padded with nothing', padded([FRAME.headers, FLAG.endHeaders, 1], block, 0)],
    [
      'with a priority',
      frame(FRAME.headers, FLAG.endHeaders | FLAG.priority, 1, Buffer.concat([priority(0), block])),
    ],
    [
      'with an exclusive priority, padded',
      padded(
        [FRAME.headers, FLAG.endHeaders | FLAG.priority, 1],
        Buffer.concat([priority(0x80000003), block]),
        255,
      ),
    ],
    ['with flags nobody knows', frame(FRAME.headers, FLAG.endHeaders | 0xd2, 1, block)],
    ['with the reserved bit', frame(FRAME.headers, FLAG.endHeaders, 0x80000001, block)],
  ])('may come %s', async (_, bytes) => {
    const client = await RawClient.connect(await startServer());
    client.send(bytes, body);
    expect((await client.answer(1)).body).toEqual(message('hello'));
    expect(await client.serves(3)).toBe(true);
  });

  test('may be continued, wherever they are cut', async () => {
    const client = await RawClient.connect(await startServer());
    let stream = 1;
    for (let cut = 0; cut <= block.length; cut++, stream += 2) {
      client.send(
        frame(FRAME.headers, 0, stream, block.subarray(0, cut)),
        frame(FRAME.continuation, FLAG.endHeaders, stream, block.subarray(cut)),
        data(stream, message('hello'), END),
      );
      expect((await client.answer(stream)).code).toBe('0');
    }
    const cut = (i: number) => Math.floor((block.length * i) / 5);
    client.send(frame(FRAME.headers, 0, stream, block.subarray(0, cut(1))));
    for (let i = 1; i < 5; i++) {
      const flags = i === 4 ? FLAG.endHeaders : 0;
      client.send(frame(FRAME.continuation, flags, stream, block.subarray(cut(i), cut(i + 1))));
    }
    client.send(data(stream, message('hello'), END));
    expect((await client.answer(stream)).code).toBe('0');
  });

  test('may end a request: without a message, or as its trailers', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1, request(), END));
    expect((await client.answer(1)).code).toMatch(/^(12|13)$/);
    const trailers = encodeHeaders([['x-trailer', 'yes']]);
    client.send(headers(3), data(3, message('hello')));
    client.send(frame(FRAME.headers, FLAG.endHeaders | END, 3, trailers));
    expect((await client.answer(3)).body).toEqual(message('hello'));
    client.send(headers(5), data(5, message('hello')));
    client.send(frame(FRAME.headers, END, 5, trailers.subarray(0, 3)));
    client.send(frame(FRAME.continuation, FLAG.endHeaders, 5, trailers.subarray(3)));
    expect((await client.answer(5)).body).toEqual(message('hello'));
  });

  test('may leave out numbers of streams', async () => {
    const client = await RawClient.connect(await startServer());
    for (const stream of [5, 7, 1_001, 2 ** 31 - 1]) expect(await client.serves(stream)).toBe(true);
  });
});

describe('DATA', () => {
  test.each([0, 1, 255])('may be padded with %i bytes', async (padding) => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1), padded([FRAME.data, 0, 1], message('hello'), padding));
    client.send(padded([FRAME.data, END, 1], EMPTY, padding));
    expect((await client.answer(1)).body).toEqual(message('hello'));
  });

  test('may be a full frame', async () => {
    const client = await RawClient.connect(await startServer());
    const body = message(Buffer.alloc(16_379, 'x'));
    client.send(headers(1), data(1, body, END));
    expect((await client.answer(1)).body).toEqual(body);
  });
});

describe('what a server need not know', () => {
  test('is ignored: frames, priorities, and what belongs to streams that are gone', async () => {
    const client = await RawClient.connect(await startServer());
    const unknown = (stream: number) => frame(0x42, 0xff, stream, Buffer.from('any bytes'));
    client.send(
      unknown(0),
      unknown(1),
      unknown(100),
      frame(0x10, 0, 0, Buffer.from('\0\0\0\u0001u=1')),
    );
    client.send(priority(0, 1), priority(7, 99), priority(1, 3));
    expect(await client.serves(5)).toBe(true);
    client.send(unknown(5), priority(3, 5), reset(5), numberFrame(FRAME.windowUpdate, 5, 100));
    client.send(headers(7), unknown(7), priority(5, 7), data(7, message('hello'), END));
    expect((await client.answer(7)).body).toEqual(message('hello'));
    expect(await client.serves(9)).toBe(true);
    expect(client.count(FRAME.goaway)).toBe(0);
  });

  test('a stream that was reset twice, or resized after its end, is no error', async () => {
    const client = await RawClient.connect(await startServer({ Unary: () => undefined }));
    client.send(call(1), reset(1), reset(1), numberFrame(FRAME.windowUpdate, 1, 1));
    client.send(call(3, '1 1', PATH.download));
    expect((await client.answer(3)).code).toBe('0');
    expect(client.frames.filter((f) => f.stream === 1)).toEqual([]);
  });
});

describe('many streams', () => {
  test('ten thousand may be open at once', async () => {
    const held: (() => void)[] = [];
    const server = await startServer({
      Unary: (unary, answer) => void held.push(() => answer(null, unary.request)),
    });
    const client = await RawClient.connect(server);
    await client.roundTrip();
    const streams = Array.from({ length: 10_000 }, (_, i) => 2 * i + 1);
    for (const stream of streams) client.send(call(stream, ''));
    await client.roundTrip();
    expect(held).toHaveLength(10_000);
    client.send(numberFrame(FRAME.windowUpdate, 0, 1_000_000));
    for (const release of held.splice(0)) release();
    const ended = new Set<number>();
    let seen = 0;
    await client.until('the answers', () => {
      for (; seen < client.frames.length; seen++) {
        const f = client.frames[seen];
        if (f && f.type === FRAME.headers && f.flags & END) ended.add(f.stream);
      }
      return ended.size === 10_000;
    });
  });

  test('a session of Node may have as many as it likes, one after the other', async () => {
    const session = h2(await startServer());
    for (let round = 0; round < 20; round++) {
      const calls = Array.from({ length: 200 }, (_, i) => post(session, message(`${round}.${i}`)));
      const texts = (await Promise.all(calls)).map(({ messages }) => messages[0]);
      expect(texts).toEqual(calls.map((_, i) => `${round}.${i}`));
    }
  });
});
