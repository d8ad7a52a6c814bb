/** Streams of messages, as clients of gRPC see them and as handlers do. */
import { Metadata, status } from '@grpc/grpc-js';
import type { ServerDuplexStream, ServiceError } from '@grpc/grpc-js';
import { waitFor } from '../../support/wait';
import { errorOf, grpcClient, same } from './clients';
import { data, FLAG, headers, message, PATH, request, reset } from './frames';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';
import type { TestServer } from './server';

afterEach(cleanUp);

type Call = ServerDuplexStream<Buffer, Buffer>;
const none = new Metadata();

const chat = (server: TestServer) =>
  grpcClient(server).makeBidiStreamRequest(PATH.chat, same, same, none);

/** What a stream brings, until it ends well or not. */
function readAll(stream: NodeJS.ReadableStream): Promise<string[]> {
  const texts: string[] = [];
  return new Promise((resolve, reject) => {
    stream.on('data', (message: Buffer) => texts.push(message.toString()));
    stream.on('end', () => setImmediate(() => resolve(texts)));
    stream.on('error', reject);
  });
}

/** A server whose handler of chats notes what happens to it. */
async function observed(act: (call: Call) => void = () => undefined) {
  const events: string[] = [];
  const server = await startServer({
    Chat: (call) => {
      call.on('data', (message: Buffer) => events.push(message.toString()));
      for (const event of ['end', 'cancelled', 'close']) call.on(event, () => events.push(event));
      act(call);
    },
  });
  return { server, events };
}

describe('both sides', () => {
  test('send as they like, in order', async () => {
    const stream = chat(await startServer());
    const texts = Array.from({ length: 2_000 }, (_, i) => `message ${i}`);
    for (const text of texts) stream.write(Buffer.from(text));
    stream.end();
    expect(await readAll(stream)).toEqual(texts);
  });

  test('converse', async () => {
    const stream = chat(await startServer());
    for (let i = 0; i < 50; i++) {
      const answer = new Promise((resolve) => stream.once('data', resolve));
      stream.write(Buffer.from(`question ${i}`));
      expect(String(await answer)).toBe(`question ${i}`);
    }
    stream.end();
    expect(await readAll(stream)).toEqual([]);
  });

  test('may have much under way at once', async () => {
    const client = grpcClient(await startServer());
    const texts = Array.from({ length: 20 }, (_, i) => String(i).repeat(10_000));
    const streams = Array.from({ length: 50 }, () => {
      const stream = client.makeBidiStreamRequest(PATH.chat, same, same, none);
      for (const text of texts) stream.write(Buffer.from(text));
      stream.end();
      return readAll(stream);
    });
    for (const read of await Promise.all(streams)) expect(read).toEqual(texts);
  });
});

test('a stream of answers has one request', async () => {
  const client = grpcClient(await startServer());
  for (const [count, size] of [
    [0, 0],
    [1, 0],
    [1_000, 10],
    [20, 100_000],
  ] as const) {
    const request = Buffer.from(`${count} ${size}`);
    const stream = client.makeServerStreamRequest(PATH.download, same, same, request, none);
    const read = await readAll(stream);
    expect(read.map((text) => Buffer.from(text, 'latin1').length >= size)).toEqual(
      Array<boolean>(count).fill(true),
    );
  }
});

describe('the end', () => {
  test('that the client makes is an end for the handler, which may go on', async () => {
    const { server, events } = await observed((call) => {
      call.on('end', () => {
        call.write(Buffer.from('one more'));
        call.end();
      });
    });
    const stream = chat(server);
    const ended = new Promise<{ code: number }>((resolve) => stream.on('status', resolve));
    stream.write(Buffer.from('hello'));
    stream.end();
    expect(await readAll(stream)).toEqual(['one more']);
    expect((await ended).code).toBe(status.OK);
    expect(events.slice(0, 2)).toEqual(['hello', 'end']);
  });

  test('that the handler makes ends the call, though the client has not', async () => {
    const { server } = await observed((call) => {
      call.write(Buffer.from('that is all'));
      call.end();
    });
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat)));
    const { code, body } = await client.answer(1);
    expect(code).toBe('0');
    expect(body).toEqual(message('that is all'));
    // What is still under way to it disturbs nobody.
    client.send(data(1, message('too late')), data(1, message('the same'), FLAG.endStream));
    expect(await client.serves(3)).toBe(true);
  });

  test('with a status comes after what was written before', async () => {
    const { server } = await observed((call) => {
      for (let i = 0; i < 100; i++) call.write(Buffer.from(`${i}`));
      const metadata = new Metadata();
      metadata.set('x-retry', 'later');
      call.emit('error', { code: status.UNAVAILABLE, details: 'für heute', metadata });
    });
    const stream = chat(server);
    const read: string[] = [];
    stream.on('data', (message: Buffer) => read.push(message.toString()));
    const error = await new Promise<ServiceError>((resolve) => stream.on('error', resolve));
    expect(error).toMatchObject({ code: status.UNAVAILABLE, details: 'für heute' });
    expect(error.metadata.get('x-retry')).toEqual(['later']);
    expect(read).toHaveLength(100);
  });

  test('by a handler that throws, or writes what cannot be encoded, is an error', async () => {
    let calls = 0;
    const { server } = await observed((call) => {
      calls += 1;
      if (calls === 1) throw new Error('a bug');
      call.on('data', () => call.write(Buffer.from('\u0000poison')));
    });
    const client = grpcClient(server);
    const thrown = readAll(client.makeBidiStreamRequest(PATH.chat, same, same, none));
    expect([status.UNKNOWN, status.INTERNAL]).toContain((await errorOf(thrown)).code);
    const stream = client.makeBidiStreamRequest(PATH.chat, same, same, none);
    stream.write(Buffer.from('x'));
    expect((await errorOf(readAll(stream))).code).toBe(status.INTERNAL);
    expect(server.reported()).toEqual([new Error('a bug')]);
  });

  test('because a message cannot be read is INTERNAL, and the handler hears of it', async () => {
    const { server, events } = await observed();
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat)), data(1, message('\u0000poison')));
    expect((await client.answer(1)).code).toBe(String(status.INTERNAL));
    await waitFor('the handler', 5_000, () => Promise.resolve(events.includes('cancelled')));
    expect(await client.serves(3)).toBe(true);
  });
});

describe('a client that gives up', () => {
  test('cancels its call, which is no end of its messages, and the handler hears of it once', async () => {
    const { server, events } = await observed();
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat)), data(1, message('hello')));
    await waitFor('the message', 5_000, () => Promise.resolve(events.includes('hello')));
    client.send(reset(1));
    await waitFor('the end', 5_000, () => Promise.resolve(events.includes('close')));
    expect(events).toEqual(['hello', 'cancelled', 'close']);
    expect(await client.serves(3)).toBe(true);
    expect(client.count(0, 1) + client.count(1, 1)).toBe(0);
  });

  test('cancels a stream of answers', async () => {
    let cancelled = 0;
    const server = await startServer({
      Download: (call) => {
        call.on('cancelled', () => (cancelled += 1));
        const write = (): void => {
          while (!call.cancelled && call.write(Buffer.alloc(10_000)));
        };
        call.on('drain', write);
        write();
      },
    });
    const client = grpcClient(server);
    const stream = client.makeServerStreamRequest(PATH.download, same, same, Buffer.alloc(1), none);
    stream.once('data', () => stream.cancel());
    expect((await errorOf(readAll(stream))).code).toBe(status.CANCELLED);
    await waitFor('the handler', 5_000, () => Promise.resolve(cancelled === 1));
  });

  test('because its connection breaks cancels all its calls', async () => {
    let open = 0;
    const server = await startServer({
      Chat: (call) => {
        open += 1;
        call.on('cancelled', () => (open -= 1));
      },
    });
    const client = await RawClient.connect(server);
    for (let i = 0; i < 100; i++) client.send(headers(2 * i + 1, request(PATH.chat)));
    await waitFor('the calls', 5_000, () => Promise.resolve(open === 100));
    client.socket.resetAndDestroy();
    await waitFor('their ends', 5_000, () => Promise.resolve(open === 0));
  });

  test('gets nothing of what its handler still writes, and nobody is harmed', async () => {
    let call: Call | undefined;
    const { server, events } = await observed((received) => (call = received));
    const client = await RawClient.connect(server);
    client.send(headers(1, request(PATH.chat)));
    await waitFor('the call', 5_000, () => Promise.resolve(call !== undefined));
    client.send(reset(1));
    await waitFor('its end', 5_000, () => Promise.resolve(events.includes('cancelled')));
    call?.write(Buffer.from('x'));
    call?.end();
    call?.emit('error', { code: status.ABORTED, details: 'x' });
    expect(await client.serves(3)).toBe(true);
    expect(client.frames.filter((frame) => frame.stream === 1 && frame.type < 2)).toEqual([]);
  });
});
