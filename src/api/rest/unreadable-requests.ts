/**
 * What Node refuses before there is a request (no HTTP, headers too long or too slow): nothing of the app
 * has seen it, and yet it gets problem details.
 */
import { randomUUID } from 'node:crypto';
import { STATUS_CODES } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from '../../logger';
import { SECURITY_HEADERS } from './headers';
import { Problem } from './problem';

/** How long a client has to read why it was refused, ms. */
const LINGER_MS = 1_000;

/** `answers`: those under way, by the connection they go out on. */
export function refuseUnreadable(
  answers: WeakMap<Duplex, ServerResponse>,
  log: Logger,
): (error: NodeJS.ErrnoException, socket: Duplex) => void {
  return (error, socket) => {
    const answer = answers.get(socket);
    // In the middle of an answer another one would only make it unreadable.
    const within = answer !== undefined && answer.headersSent && !answer.writableFinished;
    if (!socket.writable || within) {
      socket.destroy();
      return;
    }
    const problem = problemOf(error.code);
    log.debug({ reason: error.code, status: problem.status }, 'unreadable request');
    socket.end(textOf(problem));
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  };
}

function problemOf(code: string | undefined): Problem {
  switch (code) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new Problem('REQUEST_TIMEOUT', 'the request did not come in time');
    case 'HPE_HEADER_OVERFLOW':
      return new Problem('HEADERS_TOO_LARGE', 'the headers, or the URL, are larger than allowed');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new Problem('BODY_TOO_LARGE', 'the body is larger than allowed');
    case undefined:
    default:
      return new Problem('INVALID_REQUEST', 'the request is not HTTP');
  }
}

function textOf(problem: Problem): string {
  const requestId = randomUUID();
  const body = JSON.stringify(problem.toBody(requestId));
  const headers = {
    ...SECURITY_HEADERS,
    'Content-Type': 'application/problem+json',
    'Content-Length': Buffer.byteLength(body),
    'X-Request-Id': requestId,
    Connection: 'close',
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  const { status } = problem;
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`;
}
