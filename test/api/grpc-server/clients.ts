/** Clients that mean well: grpc-js, and Node's HTTP/2 with gRPC by hand. */
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { CallOptions, ServiceError } from '@grpc/grpc-js';
import { connect } from 'node:http2';
import type {
  ClientHttp2Session,
  ClientSessionOptions,
  IncomingHttpHeaders,
  OutgoingHttpHeaders,
} from 'node:http2';
import { message, PATH } from './frames';
import { afterwards } from './server';
import type { TestServer } from './server';

export const same = (bytes: Buffer): Buffer => bytes;
const DEADLINE_MS = 20_000;

export interface Reply {
  readonly value: string;
  readonly headers: Metadata;
  readonly trailers: Metadata;
}

/** A grpc-js client with a connection of its own. */
export function grpcClient(to: Pick<TestServer, 'address'>): Client {
  const client = new Client(to.address, credentials.createInsecure(), {
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': -1,
    'grpc.max_send_message_length': -1,
    'grpc.enable_retries': 0,
    'grpc.initial_reconnect_backoff_ms': 100,
  });
  afterwards(() => client.close());
  return client;
}

/** A unary call; rejects with a `ServiceError`. */
export function unary(
  client: Client,
  request: Buffer | string,
  {
    path = PATH.unary,
    metadata = new Metadata(),
    ...options
  }: CallOptions & { path?: string; metadata?: Metadata } = {},
): Promise<Reply> {
  return new Promise((resolve, reject) => {
    let headers = new Metadata();
    let trailers = new Metadata();
    let value = '';
    const call = client.makeUnaryRequest(
      path,
      same,
      same,
      Buffer.from(request),
      metadata,
      { deadline: Date.now() + DEADLINE_MS, ...options },
      (error, response) => {
        value = response?.toString('latin1') ?? '';
        if (error) reject(error);
      },
    );
    call.on('metadata', (received) => (headers = received));
    call.on('status', (status) => {
      trailers = status.metadata;
      setImmediate(() => resolve({ value, headers, trailers }));
    });
  });
}

/** The error of a call that must fail. */
export async function errorOf(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error('the call has not failed');
}

/** A connection of Node's HTTP/2. */
export function h2(
  to: Pick<TestServer, 'address'>,
  options: ClientSessionOptions = {},
): ClientHttp2Session {
  const session = connect(`http://${to.address}`, { maxSessionMemory: 1_000, ...options });
  session.on('error', () => undefined);
  afterwards(() => session.destroy());
  return session;
}

export const REQUEST_HEADERS: OutgoingHttpHeaders = {
  ':method': 'POST',
  ':path': PATH.unary,
  'content-type': 'application/grpc',
  te: 'trailers',
};

export interface H2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders;
  /** Of the trailers, or of headers that are trailers. */
  readonly code: number;
  readonly body: Buffer;
  /** Messages without their heads. */
  readonly messages: string[];
}

/** A call over HTTP/2; `body` is sent as it stands. Rejects when the stream is reset. */
export function post(
  session: ClientHttp2Session,
  body: Buffer = message('hello'),
  more: OutgoingHttpHeaders = {},
): Promise<H2Answer> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ...REQUEST_HEADERS, ...more }, { endStream: false });
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];
    stream.on('response', (received) => (headers = received));
    stream.on('trailers', (received: IncomingHttpHeaders) => (trailers = received));
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('error', reject);
    stream.on('close', () => {
      const bytes = Buffer.concat(chunks);
      const code = Number(trailers['grpc-status'] ?? headers['grpc-status']);
      if (headers[':status'] === undefined) reject(new Error(`reset with ${stream.rstCode}`));
      resolve({ headers, trailers, code, body: bytes, messages: messagesOf(bytes) });
    });
    stream.end(body);
  });
}

/** The gRPC messages of a body. */
export function messagesOf(body: Buffer): string[] {
  const messages: string[] = [];
  for (let at = 0; at + 5 <= body.length;) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    messages.push(body.toString('latin1', at + 5, end));
    at = end;
  }
  return messages;
}
