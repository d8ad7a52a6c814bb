/** Windows: what may be sent in either direction, and who is held back (RFC 9113, §5.2 and §6.9). */
import { constants } from 'node:http2';
import type { IncomingHttpHeaders } from 'node:http2';
import type { ServerDuplexStream } from '@grpc/grpc-js';
import { waitFor } from '../../support/wait';
import { h2, post } from './clients';
import {
  call,
  data,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  headers,
  LARGEST_WINDOW,
  message,
  numberFrame,
  padded,
  PATH,
  request,
  SETTING,
  settingsFrame,
} from './frames';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
const MIB = 2 ** 20;
const grant = (stream: number, bytes: number) => numberFrame(FRAME.windowUpdate, stream, bytes);
const initialWindow = (bytes: number) => settingsFrame([[SETTING.initialWindowSize, bytes]]);
const download = (stream: number, count: number, size: number) =>
  call(stream, `${count} ${size}`, PATH.download);

describe('what the server sends', () => {
  test.each([1, 7, 100, 16_384, 70_000])('fits into windows of %i bytes', async (window) => {
    const session = h2(await startServer(), { settings: { initialWindowSize: window } });
    const size = window < 100 ? 500 : 100_000;
    const body = Buffer.alloc(size, 'x');
    const [unary, stream] = await Promise.all([
      post(session, message(body)),
      post(session, message(`3 ${size}`), { ':path': PATH.download }),
    ]);
    expect(unary).toMatchObject({ code: 0, messages: [body.toString()] });
    expect(stream.messages.map((text) => text.length)).toEqual([size, size, size]);
  });

  test('waits for the window of its stream, byte by byte, and its trailers for none', async () => {
    const client = await RawClient.connect(await startServer(), {
      settings: [[SETTING.initialWindowSize, 0]],
    });
    client.send(call(1, 'hello'));
    await client.roundTrip();
    expect(client.bodyOf(1)).toHaveLength(0);
    for (let bytes = 1; bytes <= 10; bytes++) {
      client.send(grant(1, 1));
      await client.roundTrip();
      expect(client.bodyOf(1)).toHaveLength(bytes);
    }
    const { code, body } = await client.answer(1);
    expect([code, body.toString('latin1', 5)]).toEqual(['0', 'hello']);
  });

  test('waits for the window of the connection, which streams share', async () => {
    const client = await RawClient.connect(await startServer(), {
      settings: [[SETTING.initialWindowSize, 10 * MIB]],
    });
    client.send(download(1, 1, 60_000), download(3, 1, 60_000), download(5, 1, 60_000));
    const sent = () => [1, 3, 5].reduce((sum, stream) => sum + client.bodyOf(stream).length, 0);
    await client.until('a full window', () => sent() >= DEFAULT_WINDOW);
    await client.roundTrip();
    expect(sent()).toBe(DEFAULT_WINDOW);
    client.send(grant(0, 1_000));
    await client.roundTrip();
    expect(sent()).toBe(DEFAULT_WINDOW + 1_000);
    client.send(grant(0, MIB));
    for (const stream of [1, 3, 5]) {
      expect((await client.answer(stream)).body).toHaveLength(60_005);
    }
  });

  test('that needs no window waits for none', async () => {
    const client = await RawClient.connect(await startServer(), {
      settings: [[SETTING.initialWindowSize, 0]],
    });
    client.send(call(1, 'stuck'), call(3, 'x', '/no.Such/Method'), download(5, 0, 0));
    expect((await client.answer(3)).code).toBe('12');
    expect((await client.answer(5)).code).toBe('0');
    expect(client.hasEnded(1)).toBe(false);
  });

  test('by one stream does not wait for the window of another', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(grant(0, 10 * MIB), download(1, 1, 1_000_000));
    await client.until('the window', () => client.bodyOf(1).length === DEFAULT_WINDOW);
    expect(await client.serves(3)).toBe(true);
    client.send(grant(1, 10 * MIB));
    expect((await client.answer(1)).body).toHaveLength(1_000_005);
  });

  test('follows a change of windows while streams are open', async () => {
    const client = await RawClient.connect(await startServer(), {
      settings: [[SETTING.initialWindowSize, 100]],
    });
    client.send(download(1, 1, 1_000), download(3, 1, 1_000));
    const sent = () => [client.bodyOf(1).length, client.bodyOf(3).length];
    await client.roundTrip();
    expect(sent()).toEqual([100, 100]);
    client.send(initialWindow(150), grant(3, 50));
    await client.roundTrip();
    expect(sent()).toEqual([150, 200]);
    // Now each stream's window is 150 below zero, and must be filled up first.
    client.send(initialWindow(0), grant(1, 150));
    await client.roundTrip();
    expect(sent()).toEqual([150, 200]);
    client.send(grant(1, 1), grant(3, 149), grant(3, 2));
    await client.roundTrip();
    expect(sent()).toEqual([151, 201]);
    client.send(initialWindow(5_000));
    expect((await client.answer(1)).body).toHaveLength(1_005);
    expect((await client.answer(3)).body).toHaveLength(1_005);
  });

  test('is held back by a client that does not read, however large its windows', async () => {
    let written = 0;
    let chat: ServerDuplexStream<Buffer, Buffer> | undefined;
    let drained = 0;
    const server = await startServer({
      Chat: (opened) => {
        chat = opened;
        opened.on('drain', () => (drained += 1));
      },
    });
    const client = await RawClient.connect(server, {
      settings: [[SETTING.initialWindowSize, LARGEST_WINDOW]],
      reads: false,
    });
    client.send(grant(0, LARGEST_WINDOW - DEFAULT_WINDOW), headers(1, request(PATH.chat)));
    await waitFor('the call', 5_000, () => Promise.resolve(chat !== undefined));
    // A handler that minds what `write` says: it goes on only when told to.
    const bytes = Buffer.alloc(50_000);
    let quiet = 0;
    while (quiet < 20 && written < 100 * MIB) {
      const before = drained;
      while (written < 100 * MIB && chat?.write(bytes)) written += bytes.length;
      written += bytes.length;
      await new Promise((resolve) => setTimeout(resolve, 10));
      quiet = drained === before ? quiet + 1 : 0;
    }
    expect(written).toBeLessThan(32 * MIB);
    client.socket.resume();
    await waitFor('room', 10_000, () => Promise.resolve(drained > 0));
    chat?.end();
    const frames = written / bytes.length;
    expect((await client.answer(1)).body).toHaveLength(frames * (bytes.length + 5));
  });
});

describe('what the client sends', () => {
  /** Sends DATA as far as the server allows; resolves with how much that was. */
  async function fill(client: RawClient, stream: number, most: number): Promise<number> {
    const chunk = Buffer.alloc(16_000);
    let sent = 0;
    for (;;) {
      const room = Math.min(client.allowed(stream), client.allowed(0), most) - sent;
      if (room <= 0) {
        await client.roundTrip();
        if (Math.min(client.allowed(stream), client.allowed(0), most) <= sent) return sent;
        continue;
      }
      const bytes = chunk.subarray(0, Math.min(room, chunk.length));
      client.send(data(stream, bytes));
      sent += bytes.length;
    }
  }

  test('is held back by a handler that pauses, and goes on when it resumes', async () => {
    let chat: ServerDuplexStream<Buffer, Buffer> | undefined;
    let received = 0;
    const server = await startServer({
      Chat: (opened) => {
        chat = opened;
        opened.on('data', (bytes: Buffer) => (received += bytes.length));
        opened.on('end', () => opened.end());
        opened.pause();
      },
    });
    const session = h2(server);
    const size = 100_000;
    const stream = session.request({
      ':method': 'POST',
      ':path': PATH.chat,
      'content-type': 'application/grpc',
    });
    let code: unknown;
    stream.on('trailers', (trailers: IncomingHttpHeaders) => (code = trailers['grpc-status']));
    stream.on('response', (sent) => (code = sent['grpc-status']));
    stream.on('error', () => undefined);
    stream.resume();
    let taken = 0;
    for (let i = 0; i < 320; i++) stream.write(message(Buffer.alloc(size)), () => (taken += size));
    stream.end();
    await waitFor('the call', 5_000, () => Promise.resolve(chat !== undefined));
    // Others are not held back with it.
    for (let i = 0; i < 20; i++) {
      expect((await post(session)).messages).toEqual(['hello']);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(received).toBe(0);
    expect(taken).toBeLessThan(16 * MIB);
    chat?.resume();
    await waitFor('the end', 20_000, () => Promise.resolve(code !== undefined));
    expect(code).toBe('0');
    expect(received).toBe(320 * size);
  });

  test('is allowed again as it is read, on the stream and on the connection', async () => {
    const client = await RawClient.connect(await startServer());
    await client.roundTrip();
    const total = 20 * MIB;
    const size = 1_000_000;
    client.send(headers(1, request(PATH.upload)));
    const body = Buffer.concat([message(Buffer.alloc(size))]);
    let sent = 0;
    while (sent < total) {
      const room = Math.min(client.allowed(1), client.allowed(0)) - sent;
      if (room <= 0) {
        const was = sent;
        await client.until('a larger window', () => {
          return Math.min(client.allowed(1), client.allowed(0)) > was;
        });
        continue;
      }
      const at = sent % body.length;
      const bytes = body.subarray(at, Math.min(body.length, at + Math.min(room, 16_384)));
      client.send(data(1, bytes));
      sent += bytes.length;
    }
    const rest = body.length - (sent % body.length);
    await client.until('room for the rest', () => {
      return Math.min(client.allowed(1), client.allowed(0)) >= sent + rest;
    });
    for (let left = rest; left > 0; left -= 16_384) {
      client.send(data(1, body.subarray(body.length - left).subarray(0, 16_384)));
    }
    client.send(data(1, '', END));
    const count = (sent + rest) / body.length;
    expect((await client.answer(1)).body.toString('latin1', 5)).toBe(`${count} ${count * size}`);
  });

  test('to streams that are over, or nobody reads, is given back to the connection', async () => {
    const server = await startServer({
      Unary: (_call, answer) => answer({ code: 3, details: 'x' }),
    });
    const session = h2(server);
    const body = message(Buffer.alloc(1_000_000));
    for (let i = 0; i < 30; i++) {
      const path = i % 2 ? '/no.Such/Method' : PATH.unary;
      const type = i % 3 ? 'application/grpc' : 'text/plain';
      const { headers } = await post(session, body, { ':path': path, 'content-type': type }).catch(
        (error: Error) => ({ headers: { ':status': error.message } }),
      );
      expect(headers[':status']).toBeDefined();
    }
    const { code } = await post(session, message('1 1'), { ':path': PATH.download });
    expect(code).toBe(0);
    expect((await post(session, body, { ':path': PATH.upload })).messages).toEqual(['1 1000000']);
  });

  test('counts with its padding, which is given back too', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1, request(PATH.upload)));
    const body = message(Buffer.alloc(2_000));
    let sent = 0;
    for (const byte of body) {
      const frame = padded([FRAME.data, 0, 1], Buffer.of(byte), 255);
      sent += frame.length - 9;
      const needed = sent;
      await client.until('room', () => Math.min(client.allowed(0), client.allowed(1)) >= needed);
      client.send(frame);
    }
    client.send(data(1, '', END));
    expect((await client.answer(1)).body.toString('latin1', 5)).toBe('1 2000');
  });

  test('beyond the window is an error', async () => {
    const server = await startServer({ Chat: (chat) => chat.pause() });
    const client = await RawClient.connect(server);
    await client.roundTrip();
    client.send(headers(1, request(PATH.chat)), data(1, message(Buffer.alloc(100))));
    await fill(client, 1, 64 * MIB);
    for (let i = 0; i < 600; i++) client.send(data(1, Buffer.alloc(16_384)));
    expect(await client.failure(1)).toMatch(/^(RST_STREAM|GOAWAY) FLOW_CONTROL_ERROR$/);
  });

  test('is allowed only so far while a handler pauses', async () => {
    const server = await startServer({ Chat: (chat) => chat.pause() });
    const client = await RawClient.connect(server);
    await client.roundTrip();
    client.send(headers(1, request(PATH.chat)));
    // Messages without end, each of which is whole.
    const sent = await fill(client, 1, 32 * MIB);
    expect(sent).toBeLessThan(16 * MIB);
    client.send(Buffer.from([0, 0, 4, FRAME.rstStream, 0, 0, 0, 0, 1, 0, 0, 0, 8]));
    expect(await client.serves(3)).toBe(true);
  });
});

test('DATA for a call that was refused does not close the window for others', async () => {
  const server = await startServer();
  const session = h2(server);
  const refused = Array.from({ length: 40 }, () =>
    post(session, message(Buffer.alloc(500_000)), { ':path': '/no.Such/Method' }).catch(
      (error: Error) => ({ code: error.message }),
    ),
  );
  const good = Array.from({ length: 40 }, () => post(session, message(Buffer.alloc(50_000))));
  for (const { code } of await Promise.all(refused)) {
    expect([12, `reset with ${constants.NGHTTP2_NO_ERROR}`]).toContain(code);
  }
  for (const { code } of await Promise.all(good)) expect(code).toBe(0);
});
