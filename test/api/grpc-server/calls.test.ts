/** Unary calls as clients of gRPC make them. */
import { Metadata, status } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { loadProto } from '../../../src/activities/protos';
import { errorOf, grpcClient, unary } from './clients';
import { cleanUp, POISON, startServer } from './server';

afterEach(cleanUp);

const MIB = 2 ** 20;

describe('a call that succeeds', () => {
  test('is answered with what the handler gives, also with nothing', async () => {
    const client = grpcClient(await startServer());
    expect(await unary(client, 'hello')).toMatchObject({ value: 'hello' });
    expect(await unary(client, '')).toMatchObject({ value: '' });
  });

  test('may be large', async () => {
    const client = grpcClient(await startServer());
    for (const size of [1, 16_379, 16_380, 65_530, 65_531, 1_000_000, 4 * MIB]) {
      const bytes = Buffer.alloc(size, `size ${size} `);
      expect((await unary(client, bytes)).value === bytes.toString('latin1')).toBe(true);
    }
  });

  test('is not mixed up with a thousand others at once', async () => {
    const server = await startServer({
      Unary: (call, answer) => {
        const wait = Number(call.request.toString()) % 7;
        setTimeout(() => answer(null, call.request), wait);
      },
    });
    const client = grpcClient(server);
    const numbers = Array.from({ length: 1_000 }, (_, i) => String(i));
    const replies = await Promise.all(numbers.map((number) => unary(client, number)));
    expect(replies.map((reply) => reply.value)).toEqual(numbers);
    expect(server.begun()).toBe(1_000);
  });

  test('brings trailing metadata', async () => {
    const server = await startServer({
      Unary: (call, answer) => {
        const trailer = new Metadata();
        trailer.set('x-text', 'some text');
        trailer.set('x-bytes-bin', Buffer.from([0, 1, 254, 255]));
        trailer.add('x-twice', 'one');
        trailer.add('x-twice', 'two');
        answer(null, call.request, trailer);
      },
    });
    const { value, trailers } = await unary(grpcClient(server), 'hello');
    expect(value).toBe('hello');
    expect(trailers.get('x-text')).toEqual(['some text']);
    expect(trailers.get('x-bytes-bin')).toEqual([Buffer.from([0, 1, 254, 255])]);
    expect(trailers.get('x-twice').join(', ')).toBe('one, two');
  });
});

describe('a call that fails', () => {
  test.each(['/test.Test/Nothing', '/other.Service/Unary', '/', '/test.Test/unary', '/__proto__'])(
    'for want of a method %s is UNIMPLEMENTED',
    async (path) => {
      const server = await startServer();
      const error = await errorOf(unary(grpcClient(server), 'hello', { path }));
      expect(error.code).toBe(status.UNIMPLEMENTED);
      expect(server.begun()).toBe(0);
    },
  );

  test.each([
    ['plain', 'not today'],
    ['empty', ''],
    ['of other letters', 'für Ñandú 💥 日本'],
    ['with a percent sign', '100% %41 %zz %'],
    ['of lines', 'one\ntwo\r\nthree\ttab \u0000 \u007f'],
    ['with quotes', `"'\\<>&`],
    ['long', 'ö'.repeat(2_000)],
    ['longer than a frame', 'ö'.repeat(5_000)],
  ])('brings its code and details, %s', async (_, details) => {
    const server = await startServer({
      Unary: (_call, answer) => answer({ code: status.NOT_FOUND, details }),
    });
    const error = await errorOf(unary(grpcClient(server), 'hello'));
    expect(error).toMatchObject({ code: status.NOT_FOUND, details });
  });

  test('brings metadata, that of the error or that beside it', async () => {
    const metadata = new Metadata();
    metadata.set('x-why', 'because');
    metadata.set('grpc-status-details-bin', Buffer.from([1, 2, 3]));
    const error = { code: status.ABORTED, details: 'no', metadata };
    const both = await startServer({
      Unary: (call, answer) => {
        if (call.request.length > 0) answer(error);
        else answer({ code: status.ABORTED, details: 'no' }, null, metadata);
      },
    });
    const client = grpcClient(both);
    for (const request of ['in it', '']) {
      const failed = await errorOf(unary(client, request));
      expect(failed.code).toBe(status.ABORTED);
      expect(failed.metadata.get('x-why')).toEqual(['because']);
      expect(failed.metadata.get('grpc-status-details-bin')).toEqual([Buffer.from([1, 2, 3])]);
    }
  });

  test('with each code there is', async () => {
    const server = await startServer({
      Unary: (call, answer) => answer({ code: Number(call.request.toString()), details: 'x' }),
    });
    const client = grpcClient(server);
    const codes = Array.from({ length: 16 }, (_, i) => i + 1);
    const errors = await Promise.all(codes.map((code) => errorOf(unary(client, String(code)))));
    expect(errors.map((error) => error.code)).toEqual(codes);
  });

  test('because its handler throws, or gives an error without a code, says so', async () => {
    const server = await startServer({
      Unary: (call, answer) => {
        if (call.request.toString() === 'throw') throw new Error('a bug');
        answer(new Error('no code'));
      },
    });
    const client = grpcClient(server);
    const thrown = await errorOf(unary(client, 'throw'));
    expect([status.UNKNOWN, status.INTERNAL]).toContain(thrown.code);
    const given = await errorOf(unary(client, 'give'));
    expect([status.UNKNOWN, status.INTERNAL]).toContain(given.code);
    expect(server.reported()).toEqual([new Error('a bug')]);
  });

  test('because request or answer do not fit their types is INTERNAL', async () => {
    const server = await startServer({
      Unary: (_call, answer) => answer(null, Buffer.from(POISON)),
    });
    const client = grpcClient(server);
    expect((await errorOf(unary(client, POISON))).code).toBe(status.INTERNAL);
    expect(server.begun()).toBe(0);
    expect((await errorOf(unary(client, 'hello'))).code).toBe(status.INTERNAL);
    expect(server.begun()).toBe(1);
  });

  test('because its request is too large is RESOURCE_EXHAUSTED, and others go on', async () => {
    const server = await startServer();
    const client = grpcClient(server);
    for (const size of [4 * MIB + 1, 10 * MIB]) {
      const [failed, other] = await Promise.all([
        errorOf(unary(client, Buffer.alloc(size))),
        unary(client, 'small'),
      ]);
      expect(failed.code).toBe(status.RESOURCE_EXHAUSTED);
      expect(other.value).toBe('small');
    }
    expect(server.begun()).toBe(2);
  });

  test('because its request is larger than an option allows is RESOURCE_EXHAUSTED', async () => {
    const client = grpcClient(await startServer({}, { maxMessageBytes: 1_000 }));
    expect((await unary(client, Buffer.alloc(1_000))).value).toHaveLength(1_000);
    const failed = await errorOf(unary(client, Buffer.alloc(1_001)));
    expect(failed.code).toBe(status.RESOURCE_EXHAUSTED);
  });
});

test('an answer that comes twice counts once', async () => {
  const server = await startServer({
    Unary: (_call, answer) => {
      answer(null, Buffer.from('first'));
      answer(null, Buffer.from('second'));
      answer({ code: status.ABORTED, details: 'third' });
    },
  });
  const client = grpcClient(server);
  for (let i = 0; i < 3; i++) expect((await unary(client, 'hello')).value).toBe('first');
});

test('an answer that comes too late changes nothing', async () => {
  let late: (() => void) | undefined;
  const server = await startServer({
    Unary: (call, answer) => {
      if (call.request.toString() === 'late') late = () => answer(null, Buffer.from('late'));
      else answer(null, call.request);
    },
  });
  const client = grpcClient(server);
  const deadline = Date.now() + 200;
  const failed = await errorOf(unary(client, 'late', { deadline }));
  expect(failed.code).toBe(status.DEADLINE_EXCEEDED);
  expect((await unary(client, 'hello')).value).toBe('hello');
  late?.();
  expect((await unary(client, 'hello')).value).toBe('hello');
});

test('services that add themselves are there too', async () => {
  const health = new HealthImplementation({ '': 'SERVING' });
  const reflection = new ReflectionService(loadProto('api/v1/im_stream.proto'));
  const server = await startServer({}, {}, (to) => {
    health.addToServer(to);
    reflection.addToServer(to);
  });
  const client = grpcClient(server);
  const { value } = await unary(client, '', { path: '/grpc.health.v1.Health/Check' });
  expect(value).toBe('\b\u0001');
  const stream = client.makeBidiStreamRequest(
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    (bytes: Buffer) => bytes,
    (bytes: Buffer) => bytes.toString('latin1'),
  );
  const listed = new Promise((resolve) => stream.on('data', resolve));
  // list_services
  stream.end(Buffer.from([0x3a, 1, 0x2a]));
  expect(await listed).toContain('im.v1.IMStreamService');
});
