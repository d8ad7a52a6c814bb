/** What gRPC says of requests and answers on HTTP/2, byte by byte. */
import { deflateSync, gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { h2, post } from './clients';
import { call, data, FLAG, headers, message, PATH, request } from './frames';
import { RawClient } from './raw-client';
import { cleanUp, POISON, startServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
const MIB = 2 ** 20;
const MANY = 'many bytes alike '.repeat(1_000);

describe('an answer', () => {
  test('has status 200, a content type of gRPC, one message, and trailers that end it', async () => {
    const { headers, trailers, messages } = await post(h2(await startServer()));
    expect(headers[':status']).toBe(200);
    expect(headers['content-type']).toMatch(/^application\/grpc/);
    expect(headers['grpc-status']).toBeUndefined();
    expect(trailers['grpc-status']).toBe('0');
    expect(messages).toEqual(['hello']);
  });

  test('without a message is headers alone', async () => {
    const server = await startServer({
      Unary: (_call, answer) => answer({ code: status.NOT_FOUND, details: 'ü 100% \n é' }),
    });
    const client = await RawClient.connect(server);
    client.send(call(1));
    const answer = await client.answer(1);
    expect(answer).toMatchObject({ status: '200', code: '5' });
    expect(answer.details).toMatch(/^%C3%BC[^\n]*100%25[^\n]*%0A[^\n]*%C3%A9$/);
    expect(answer.headers['content-type']).toMatch(/^application\/grpc/);
    expect(answer.body).toHaveLength(0);
  });
});

describe('what is no gRPC', () => {
  test.each([undefined, 'text/plain', 'application/json', 'application/x-grpc', ''])(
    'content type %p is 415',
    async (type) => {
      const server = await startServer();
      const session = h2(server);
      const answer = await post(session, message('x'), { 'content-type': type });
      expect(answer.headers[':status']).toBe(415);
      expect((await post(session)).messages).toEqual(['hello']);
      expect(server.begun()).toBe(1);
    },
  );

  test.each(['GET', 'PUT', 'HEAD', 'OPTIONS', 'BREW'])('method %s is 405', async (method) => {
    const server = await startServer();
    const session = h2(server);
    const answer = await post(session, Buffer.alloc(0), { ':method': method });
    expect(answer.headers[':status']).toBe(405);
    expect((await post(session)).messages).toEqual(['hello']);
    expect(server.begun()).toBe(1);
  });

  test.each(['application/grpc', 'application/grpc+proto', 'application/grpc; charset=utf-8'])(
    'but content type %s is',
    async (type) => {
      const answer = await post(h2(await startServer()), message('x'), { 'content-type': type });
      expect(answer.messages).toEqual(['x']);
    },
  );

  test('and te is not needed, nor authority where there is a host', async () => {
    const client = await RawClient.connect(await startServer());
    const few = request().filter(([name]) => name !== 'te' && name !== ':authority');
    few.push(['host', 'test']);
    client.send(headers(1, few), data(1, message('x'), END));
    expect((await client.answer(1)).code).toBe('0');
  });
});

describe('compressed requests', () => {
  test.each([
    ['gzip', gzipSync(MANY)],
    ['deflate', deflateSync(MANY)],
  ])('%s is read', async (encoding, bytes) => {
    const session = h2(await startServer());
    for (let i = 0; i < 3; i++) {
      const answer = await post(session, message(bytes, 1), { 'grpc-encoding': encoding });
      expect(answer).toMatchObject({ code: 0, messages: [MANY] });
    }
    // A message need not be compressed because others are.
    const flat = await post(session, message('flat', 0), { 'grpc-encoding': encoding });
    expect(flat).toMatchObject({ code: 0, messages: ['flat'] });
  });

  test('streams keep their order, whichever messages are compressed', async () => {
    const texts = Array.from({ length: 40 }, (_, i) => `message ${i} `.repeat(1 + (i % 5) * 2_000));
    const body = texts.map((text, i) => {
      return i % 3 === 0 ? message(gzipSync(text), 1) : message(text);
    });
    const answer = await post(h2(await startServer()), Buffer.concat(body), {
      ':path': PATH.chat,
      'grpc-encoding': 'gzip',
    });
    expect(answer.messages).toEqual(texts);
  });

  test('other encodings are UNIMPLEMENTED', async () => {
    const session = h2(await startServer());
    for (const encoding of ['br', 'zstd', 'snappy', 'nonsense']) {
      const answer = await post(session, message('x', 1), { 'grpc-encoding': encoding });
      expect(answer.code).toBe(status.UNIMPLEMENTED);
    }
  });

  test('what does not decompress is INTERNAL', async () => {
    const server = await startServer();
    const session = h2(server);
    const whole = gzipSync(MANY);
    const broken = [Buffer.from('noise'), whole.subarray(0, -9), Buffer.alloc(0)];
    for (const bytes of broken) {
      const answer = await post(session, message(bytes, 1), { 'grpc-encoding': 'gzip' });
      expect(answer.code).toBe(status.INTERNAL);
    }
    expect(server.begun()).toBe(0);
  });

  test('a message that says to be compressed, in no encoding, is INTERNAL', async () => {
    const session = h2(await startServer());
    expect((await post(session, message('x', 1))).code).toBe(status.INTERNAL);
  });

  test('what grows over the limit is RESOURCE_EXHAUSTED', async () => {
    const server = await startServer();
    const session = h2(server);
    for (const size of [4 * MIB + 1, 200 * MIB]) {
      const bomb = message(gzipSync(Buffer.alloc(size)), 1);
      const answer = await post(session, bomb, { 'grpc-encoding': 'gzip' });
      expect(answer.code).toBe(status.RESOURCE_EXHAUSTED);
    }
    const most = message(gzipSync(Buffer.alloc(4 * MIB)), 1);
    expect((await post(session, most, { 'grpc-encoding': 'gzip' })).code).toBe(0);
    expect(server.begun()).toBe(1);
  });
});

describe('the messages of a request', () => {
  const wrong: [string, Buffer, number[]][] = [
    ['none', Buffer.alloc(0), [status.UNIMPLEMENTED, status.INTERNAL]],
    ['two', Buffer.concat([message('a'), message('b')]), [status.UNIMPLEMENTED, status.INTERNAL]],
    ['one that cannot be read', message(POISON), [status.INTERNAL]],
    ['one that is longer than allowed', message('x').fill(0xff, 1, 5), [status.RESOURCE_EXHAUSTED]],
  ];
  const half: [string, Buffer, number[]][] = [
    ['half of one', message('half').subarray(0, 7), [status.UNIMPLEMENTED, status.INTERNAL]],
    ['half a head', message('half').subarray(0, 3), [status.UNIMPLEMENTED, status.INTERNAL]],
  ];
  for (const path of [PATH.unary, PATH.download]) {
    test.each([...wrong, ...half])(`%s for ${path}: refused`, async (_, body, codes) => {
      const server = await startServer();
      const session = h2(server);
      const answer = await post(session, body, { ':path': path });
      expect(codes).toContain(answer.code);
      expect(answer.messages).toEqual([]);
      expect(server.begun()).toBe(0);
      expect((await post(session)).messages).toEqual(['hello']);
    });
  }

  test.each(half)('%s at the end of a stream of messages: refused', async (_, body) => {
    const both = Buffer.concat([message('whole'), body]);
    const answer = await post(h2(await startServer()), both, { ':path': PATH.upload });
    expect(answer.code).toBe(status.INTERNAL);
  });

  test('are found however DATA is cut, with empty frames in between', async () => {
    const client = await RawClient.connect(await startServer());
    const bytes = Buffer.concat(['', 'a', 'bc', 'def'].map((text) => message(text)));
    const nothing = Buffer.alloc(0);
    let stream = 1;
    for (let cut = 0; cut <= bytes.length; cut++, stream += 2) {
      const parts = [bytes.subarray(0, cut), nothing, bytes.subarray(cut)];
      client.send(headers(stream, request(PATH.chat)));
      client.send(...parts.map((part) => data(stream, part)), data(stream, nothing, END));
      const answer = await client.answer(stream);
      expect(answer.body).toEqual(bytes);
    }
    client.send(headers(stream, request(PATH.chat)));
    client.send(...[...bytes].map((_, i) => data(stream, bytes.subarray(i, i + 1))));
    client.send(data(stream, nothing, END));
    expect((await client.answer(stream)).body).toEqual(bytes);
  });

  test('a length over the limit is refused before its bytes come', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1), data(1, message('x').fill(0xff, 1, 5)));
    expect((await client.answer(1)).code).toBe(String(status.RESOURCE_EXHAUSTED));
    expect(await client.serves(3)).toBe(true);
  });
});

describe('grpc-timeout', () => {
  test.each(['80000000n', '80000u', '80m', '1n', '0m'])('%s is kept', async (timeout) => {
    const session = h2(await startServer({ Unary: () => undefined }));
    const began = performance.now();
    const answer = await post(session, message('x'), { 'grpc-timeout': timeout });
    const took = performance.now() - began;
    expect(answer.code).toBe(status.DEADLINE_EXCEEDED);
    // Not early; the machine may be busy, but it is no other unit either.
    expect(took).toBeGreaterThan(timeout.startsWith('8') ? 75 : -1);
    expect(took).toBeLessThan(5_000);
  });

  test.each(['1S', '99S', '59M', '1H'])('%s does not end a call at once', async (timeout) => {
    const server = await startServer({
      Unary: (call, answer) => setTimeout(() => answer(null, call.request), 50),
    });
    const answer = await post(h2(server), message('x'), { 'grpc-timeout': timeout });
    expect(answer).toMatchObject({ code: 0, messages: ['x'] });
  });

  test.each(['99999999H', '99999999M', '99999999S', '5000H', '3000000S'])(
    '%s, longer than timers of Node, does not end a call at once',
    async (timeout) => {
      const server = await startServer({
        Unary: (call, answer) => setTimeout(() => answer(null, call.request), 50),
      });
      const answer = await post(h2(server), message('x'), { 'grpc-timeout': timeout });
      expect(answer).toMatchObject({ code: 0, messages: ['x'] });
    },
  );

  test.each(['soon', '-1S', '10', 'S', ''])('%p, which is none, harms nobody', async (timeout) => {
    const session = h2(await startServer());
    const answer = await post(session, message('x'), { 'grpc-timeout': timeout });
    expect([0, status.INTERNAL, status.INVALID_ARGUMENT]).toContain(answer.code);
    expect((await post(session)).messages).toEqual(['hello']);
  });

  test('ends streams of messages too, and tells their handlers', async () => {
    let isCancelled = false;
    const server = await startServer({
      Chat: (call) => {
        call.on('cancelled', () => (isCancelled = true));
        call.write(Buffer.from('first'));
      },
    });
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat, [['grpc-timeout', '100m']])));
    const answer = await client.answer(1);
    expect(answer.code).toBe(String(status.DEADLINE_EXCEEDED));
    expect(answer.body).toEqual(message('first'));
    await client.roundTrip();
    expect(isCancelled).toBe(true);
  });

  test('counts while a request is still on its way', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1, request(PATH.unary, [['grpc-timeout', '100m']])), data(1, 'x'));
    expect((await client.answer(1)).code).toBe(String(status.DEADLINE_EXCEEDED));
    expect(await client.serves(3)).toBe(true);
  });
});
