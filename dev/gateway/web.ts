/** The side that people connect to: the chat page, a health answer, and the WebSocket upgrade. */
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { WebSocketServer, type WebSocket } from 'ws';
import { projectRoot } from '../../src/paths';
import { closeHttp, listenHttp } from '../common/http';
import { isId } from '../common/ids';

/** Above IM Service's limit of 10 KB, so that it is the one to refuse a message that is too large. */
const MAX_FRAME_BYTES = 256 * 1024;

export interface WebHandlers {
  health(): object;
  onConnection(socket: WebSocket, userId: string, deviceId: string): void;
}

export class WebSide {
  private readonly server: Server;
  private readonly sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_FRAME_BYTES });

  constructor(private readonly handlers: WebHandlers) {
    const page = readFileSync(join(projectRoot(), 'dev/gateway/chat.html'));
    this.server = createServer((request, response) => answer(request, response, page, handlers));
    this.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.upgrade(request, socket, head),
    );
  }

  /** Listens on loopback; resolves with the port taken. */
  listen(port: number, host?: string): Promise<number> {
    return listenHttp(this.server, port, host);
  }

  /** Takes no new connections; the open ones go on. */
  stopListening(): void {
    this.server.close();
  }

  /** Cuts what is still open, also sockets whose other end does not answer a close. */
  async close(): Promise<void> {
    for (const socket of this.sockets.clients) socket.terminate();
    await closeHttp(this.server);
  }

  private upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { searchParams } = url(request);
    const user = searchParams.get('user');
    const device = searchParams.get('device');
    if (!isId(user) || !isId(device)) {
      refuse(socket, '400 Bad Request', 'connect as /?user=U&device=D');
    } else if (!isSameOrigin(request)) {
      refuse(socket, '403 Forbidden', 'pages of other origins may not connect');
    } else {
      this.sockets.handleUpgrade(request, socket, head, (webSocket) =>
        this.handlers.onConnection(webSocket, user, device),
      );
    }
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  page: Buffer,
  handlers: WebHandlers,
): void {
  const { pathname } = url(request);
  if (pathname === '/') {
    response.writeHead(200, { 'content-type': 'text/html; charset=utf-8' }).end(page);
  } else if (pathname === '/health') {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(handlers.health()));
  } else {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found\n');
  }
}

/** What cannot be parsed is as good as no path and no parameters. */
function url(request: IncomingMessage): URL {
  const base = 'http://gateway.invalid/-';
  const path = request.url ?? '/';
  return URL.canParse(path, base) ? new URL(path, base) : new URL(base);
}

/** Browsers let any page open a WebSocket to loopback, but say where the page came from. */
function isSameOrigin({ headers }: IncomingMessage): boolean {
  return headers.origin === undefined || headers.origin === `http://${headers.host}`;
}

function refuse(socket: Duplex, statusLine: string, reason: string): void {
  const length = Buffer.byteLength(reason);
  // Node has taken its own listener away by now; a reset connection must not end the process.
  socket.once('error', () => socket.destroy());
  socket.end(
    `HTTP/1.1 ${statusLine}\r\nconnection: close\r\ncontent-length: ${length}\r\n\r\n${reason}`,
  );
}
