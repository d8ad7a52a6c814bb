/** Our own gRPC client for gateways, against HTTP/2 of any kind, and against what is no gateway. */
import type { ServerHttp2Session } from 'node:http2';
import { connect } from 'node:net';
import { GrpcChannel } from '../../../src/activities/gateway/grpc-channel';
import { waitFor } from '../../support/wait';
import {
  afterwards,
  codeOf,
  gateways,
  http2Server,
  push,
  PUSH,
  rawServer,
  REACHED,
  REACHED_BYTES,
  respondOk,
  SHORT_MS,
  cleanUp,
} from './servers';

afterEach(cleanUp);

describe('against HTTP/2 of any kind', () => {
  test('understands headers that are Huffman coded, of any characters', async () => {
    const text = Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join('');
    const address = await http2Server((stream) => {
      stream.respond(
        {
          ':status': 200,
          'content-type': 'application/grpc',
          'grpc-status': '9',
          'grpc-message': encodeURIComponent(text),
          'x-more': text.trim(),
        },
        { endStream: true },
      );
    });
    const to = gateways();
    // Twice: what the peer's encoder may want to refer back to is not there.
    for (let i = 0; i < 2; i++) {
      await expect(push(to, address)).rejects.toThrow(`FAILED_PRECONDITION: ${text}`);
    }
  });

  test('reads the code of an answer that is not gRPC', async () => {
    let http = 0;
    const address = await http2Server((stream) => {
      stream.respond({ ':status': http, 'content-type': 'text/html' });
      stream.end('<html>');
    });
    const to = gateways();
    const codes: Record<number, string> = {};
    for (http of [503, 404, 401, 403, 400, 418]) {
      const call = push(to, address);
      codes[http] = await codeOf(call);
    }
    expect(codes).toEqual({
      503: 'UNAVAILABLE',
      404: 'UNIMPLEMENTED',
      401: 'UNAUTHENTICATED',
      403: 'PERMISSION_DENIED',
      400: 'INTERNAL',
      418: 'UNKNOWN',
    });
  });

  test('takes no half answer for a whole one', async () => {
    const bodies = [
      Buffer.alloc(0),
      REACHED_BYTES.subarray(0, 7),
      Buffer.concat([REACHED_BYTES, REACHED_BYTES]),
      Buffer.from([1, ...REACHED_BYTES.subarray(1)]),
    ];
    const address = await http2Server((stream) => {
      stream.respond({ ':status': 200 }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(bodies.shift());
    });
    const to = gateways();
    for (let i = 0; i < 4; i++) expect(await codeOf(push(to, address))).toBe('INTERNAL');
  });

  test('reads headers and hints of many frames, and bodies in pieces', async () => {
    const address = await http2Server((stream) => {
      stream.additionalHeaders({ ':status': 103, link: '<x>' });
      stream.respond(
        { ':status': 200, ...Object.fromEntries([...'abcdefgh'].map((c) => [c, c.repeat(4_000)])) },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      const pieces = [...REACHED_BYTES];
      const next = (): void => {
        const piece = pieces.shift();
        if (piece === undefined) stream.end();
        else stream.write(Buffer.of(piece), () => setImmediate(next));
      };
      next();
    });
    expect(await push(gateways(), address)).toEqual(REACHED);
  });

  test('fits into small windows of the peer', async () => {
    const received: number[] = [];
    const address = await http2Server(
      (stream) => {
        let bytes = 0;
        stream.on('data', (chunk: Buffer) => (bytes += chunk.length));
        stream.on('end', () => {
          received.push(bytes);
          respondOk(stream);
        });
      },
      { initialWindowSize: 100 },
    );
    const to = gateways();
    const calls = Array.from({ length: 50 }, () =>
      push(to, address, 20_000, { ...PUSH, content: 'y'.repeat(9_000) }),
    );
    expect(await Promise.all(calls)).toEqual(calls.map(() => REACHED));
    expect(new Set(received).size).toBe(1);
  });

  test.each([
    [8, 'CANCELLED'],
    [11, 'RESOURCE_EXHAUSTED'],
    [2, 'INTERNAL'],
  ])('a stream reset with error %i fails alone', async (error, code) => {
    let first = true;
    const address = await http2Server((stream) => {
      if (!first) return respondOk(stream);
      first = false;
      stream.close(error);
    });
    const to = gateways();
    const [failing, other] = [push(to, address), push(to, address)];
    expect(await codeOf(failing)).toBe(code);
    expect(await other).toEqual(REACHED);
  });

  test('a stream that was refused is sent once more, and not for ever', async () => {
    let refuse = 1;
    let streams = 0;
    const address = await http2Server((stream) => {
      streams += 1;
      if (refuse-- > 0) stream.close(7);
      else respondOk(stream);
    });
    const to = gateways();
    expect(await push(to, address)).toEqual(REACHED);
    refuse = 100;
    streams = 0;
    expect(await codeOf(push(to, address))).toBe('UNAVAILABLE');
    expect(streams).toBe(2);
  });

  test('calls that GOAWAY says were not begun go to the next connection', async () => {
    let sessions = 0;
    const known = new Set<ServerHttp2Session>();
    const address = await http2Server((stream, session) => {
      if (!known.has(session)) sessions += 1;
      known.add(session);
      // The first connection takes one stream and no other.
      if (sessions > 1 || stream.id === 1) respondOk(stream);
      if (sessions === 1) session.goaway(0, 1);
    });
    const to = gateways();
    const calls = [1, 2, 3].map(() => push(to, address));
    expect(await Promise.all(calls)).toEqual([REACHED, REACHED, REACHED]);
    expect(sessions).toBe(2);
  });

  test('a connection that breaks fails its calls, and the next call makes another', async () => {
    let broken = false;
    const address = await http2Server((stream, session) => {
      if (broken) return respondOk(stream);
      broken = true;
      session.destroy();
    });
    const to = gateways();
    expect(await codeOf(push(to, address))).toBe('UNAVAILABLE');
    await waitFor('another connection', 5_000, async () => {
      return (await codeOf(push(to, address))) === 'OK';
    });
  });
});

describe('against what is no gateway at all', () => {
  test.each([
    ['HTTP/1.1', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n'],
    ['noise', '\u0000\u0000\u0005\u0009\u0004\u0000\u0000\u0000\u0001hello'],
    ['a banner', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('%s is found out at once', async (_, greeting) => {
    const address = await rawServer((socket) => socket.on('data', () => socket.write(greeting)));
    expect(await codeOf(push(gateways(), address))).toBe('UNAVAILABLE');
  });

  test('a peer that accepts and says nothing costs the deadline', async () => {
    const address = await rawServer(() => undefined);
    expect(await codeOf(push(gateways(), address, SHORT_MS))).toBe('DEADLINE_EXCEEDED');
  });

  test('a connection whose other end has vanished is found dead and replaced', async () => {
    let connections = 0;
    const real = await http2Server((stream) => respondOk(stream));
    // A proxy that forwards nothing any more on its first connection, as a lost route does.
    let lost = false;
    const address = await rawServer((socket) => {
      connections += 1;
      const isFirst = connections === 1;
      const behind = connect(Number(real.split(':')[1]), '127.0.0.1');
      afterwards(() => behind.destroy());
      socket.on('data', (chunk) => !(isFirst && lost) && behind.write(chunk));
      behind.on('data', (chunk: Buffer) => !(isFirst && lost) && socket.write(chunk));
      socket.on('close', () => behind.destroy());
    });
    const to = gateways();
    expect(await push(to, address)).toEqual(REACHED);
    lost = true;
    await waitFor('a connection that works', 10_000, async () => {
      return (await codeOf(push(to, address, SHORT_MS))) === 'OK';
    });
    expect(connections).toBe(2);
  });
});

test('a channel without calls leaves nothing behind when it is closed', async () => {
  const channel = new GrpcChannel('127.0.0.1:1');
  channel.close();
  await expect(channel.unary({ head: Buffer.alloc(0) }, Buffer.alloc(0), 100)).rejects.toThrow(
    'UNAVAILABLE: the channel is closed',
  );
});
