/** What Node refuses before there is a request is told why, as every other error is. */
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import { connect } from 'node:net';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { refuseUnreadable } from '../../src/api/rest/unreadable-requests';
import { log } from '../support/kafka';

const HEADERS_TIMEOUT_MS = 200;
/** Of one in chunks. */
const END_OF_ANSWER = '0\r\n\r\n';

describe('what cannot be read as a request', () => {
  const answers = new WeakMap<Duplex, ServerResponse>();
  const server = createServer(
    { headersTimeout: HEADERS_TIMEOUT_MS, connectionsCheckingInterval: 50 },
    (request, response) => {
      answers.set(request.socket, response);
      request.resume();
      // Begun at once, ended with the body.
      response.write('begun');
      request.on('end', () => response.end());
      request.on('error', () => response.destroy());
    },
  );
  server.on('clientError', refuseUnreadable(answers, log));

  beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
  afterAll(() => new Promise((resolve) => server.close(resolve)));

  /** Everything that comes back until the server hangs up; `then` goes out after the first answer. */
  function send(bytes: string, then?: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = '';
      const { port } = server.address() as AddressInfo;
      const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (piece) => {
        text += piece.toString();
        if (then !== undefined && text.endsWith(END_OF_ANSWER)) socket.write(then);
      });
      socket.on('end', () => socket.end());
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
    });
  }

  test.each([
    ['no HTTP', 'nonsense\r\n\r\n', 400, 'INVALID_REQUEST'],
    [
      'two lengths',
      'POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'INVALID_REQUEST',
    ],
    [
      'long headers',
      `GET / HTTP/1.1\r\nHost: x\r\nCookie: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    [
      'a long URL',
      `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    ['headers that never end', 'GET / HTTP/1.1\r\nHost: x\r\n', 408, 'REQUEST_TIMEOUT'],
  ])('%s is answered with problem details', async (_name, bytes, status, code) => {
    const [head = '', body = ''] = (await send(bytes)).split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1\\.1 ${status} \\w`));
    expect(head).toMatch(/^content-type: application\/problem\+json/im);
    expect(head).toMatch(/^x-content-type-options: nosniff/im);
    const problem = JSON.parse(body) as Record<string, unknown>;
    expect(problem).toMatchObject({ status, code });
    expect(head).toContain(`X-Request-Id: ${String(problem['request_id'])}`);
  });

  test('in the middle of an answer is cut off, without another answer in it', async () => {
    const text = await send(
      'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
    );
    expect(text).not.toContain('problem+json');
  });

  test('after an answer that is through is answered', async () => {
    const whole = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n';
    const text = await send(whole, 'nonsense\r\n\r\n');
    expect(text.match(/^HTTP\/1\.1 \d+/gm)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 400']);
  });
});
