/** Gateways of all kinds, and what calls them. */
import { createServer as createHttp2Server } from 'node:http2';
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { Server as GrpcServer, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { loadService } from '../../../dev/common/grpc';
import { GrpcError } from '../../../src/activities/gateway/grpc-call';
import { Gateways } from '../../../src/activities/gateway/gateways';
import { createMetrics } from '../../../src/metrics';

export const DEADLINE_MS = 5_000;
export const SHORT_MS = 200;
export const PUSH = {
  msg_id: 'm-1',
  recipient_id: 'bob',
  device_id: 'phone',
  sender_id: 'alice',
  content: 'hello',
  message_type: 'text/plain',
  sequence_number: 7,
  timestamp: 1_700_000_000_000,
};
export const REACHED = { success: true, delivered_count: 1, failed_devices: [], error_message: '' };
/** success, delivered_count 1 */
export const REACHED_BYTES = Buffer.from([0, 0, 0, 0, 4, 8, 1, 16, 1]);

type Answer = (call: ServerUnaryCall<typeof PUSH, object>, answer: sendUnaryData<object>) => void;

const cleanUps: (() => unknown)[] = [];

/** Something to be done when the test is over. */
export function afterwards(cleanUp: () => unknown): void {
  cleanUps.push(cleanUp);
}

/** Ends what a test has started, the last first. */
export async function cleanUp(): Promise<void> {
  for (const each of cleanUps.splice(0).reverse()) await each();
}

export function gateways(): Gateways {
  const made = new Gateways({
    breakerFailures: 1_000,
    breakerOpenMs: 1_000,
    metrics: createMetrics(),
    now: Date.now,
  });
  cleanUps.push(() => made.close());
  return made;
}

export async function grpcServer(
  answer: Answer,
  options = {},
  port = 0,
): Promise<[GrpcServer, string]> {
  const server = new GrpcServer(options);
  const { service } = loadService(
    'gateway/gateway.proto',
    'im_gateway_servicepb.UimUgatewayUserviceService',
  );
  server.addService(service, {
    PushMessage: answer,
    PushReadReceipt: answer,
    HealthCheck: answer,
  });
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error ? reject(error) : resolve(at),
    );
  });
  cleanUps.push(() => server.forceShutdown());
  return [server, `127.0.0.1:${bound}`];
}

export async function listening(server: Server | Http2Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A gateway on Node's own HTTP/2, whose frames can be chosen. */
export async function http2Server(
  onStream: (stream: ServerHttp2Stream, session: ServerHttp2Session) => void,
  settings = {},
): Promise<string> {
  const server = createHttp2Server({ settings });
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.on('error', () => undefined);
    session.on('close', () => sessions.delete(session));
  });
  server.on('stream', (stream) => {
    stream.on('error', () => undefined);
    onStream(stream, stream.session as ServerHttp2Session);
  });
  cleanUps.push(() => {
    for (const session of sessions) session.destroy();
    server.close();
  });
  return listening(server);
}

/** Something that listens on TCP and does what it wants. */
export async function rawServer(onSocket: (socket: Socket) => void): Promise<string> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    onSocket(socket);
  });
  cleanUps.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return listening(server);
}

export function respondOk(stream: ServerHttp2Stream, trailers: Record<string, string> = {}): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', ...trailers }));
  stream.end(REACHED_BYTES);
}

export const push = (
  to: Gateways,
  address: string,
  ms = DEADLINE_MS,
  request: object = PUSH,
): Promise<unknown> => to.call(address, 'PushMessage', request, ms);

export async function codeOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    if (error instanceof GrpcError) return status[error.code];
    throw error;
  }
  return 'OK';
}
