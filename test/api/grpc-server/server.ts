/** The server under test, with a service whose messages are plain bytes. */
import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { GrpcServer } from '../../../src/api/grpc/server';
import { PATH } from './frames';

export type Options = Partial<ConstructorParameters<typeof GrpcServer>[0]>;

export interface Handlers {
  /** Answers with the request. */
  readonly Unary: handleUnaryCall<Buffer, Buffer>;
  /** Answers with how many messages and bytes there were. */
  readonly Upload: handleBidiStreamingCall<Buffer, Buffer>;
  /** Sends so many messages of so many bytes: "3 1000". */
  readonly Download: handleServerStreamingCall<Buffer, Buffer>;
  /** Sends each message back. */
  readonly Chat: handleBidiStreamingCall<Buffer, Buffer>;
}

export interface TestServer {
  readonly port: number;
  readonly address: string;
  /** How often handlers were called. */
  readonly begun: () => number;
  /** What was reported, which then was expected. */
  readonly reported: () => unknown[];
  readonly close: (graceMs: number) => Promise<void>;
}

const cleanUps: (() => unknown)[] = [];
const reports: unknown[] = [];
const report = (error: unknown): void => void reports.push(error);

/** Something to be done when the test is over. */
export function afterwards(cleanUp: () => unknown): void {
  cleanUps.push(cleanUp);
}

/** Ends what a test has started, the last first. */
export async function cleanUp(): Promise<void> {
  for (const each of cleanUps.splice(0).reverse()) await each();
  // Only handlers make trouble, and only where a test says so.
  expect(reports.splice(0)).toEqual([]);
}

/** A request that begins so cannot be decoded, an answer that begins so cannot be encoded. */
export const POISON = '\u0000poison';

/** The server on a free port; handlers that are not given are those of {@link Handlers}. */
export async function startServer(
  handlers: Partial<Handlers> = {},
  options: Options = {},
  addMore: (server: GrpcServer) => void = () => undefined,
): Promise<TestServer> {
  const server = new GrpcServer({ report, ...options });
  let begun = 0;
  const counted = Object.entries({ ...DEFAULTS, ...handlers }).map(([name, handle]) => [
    name,
    (...args: unknown[]) => {
      begun += 1;
      (handle as (...args: unknown[]) => void)(...args);
    },
  ]);
  server.addService(SERVICE, Object.fromEntries(counted) as UntypedServiceImplementation);
  addMore(server);
  const port = await server.listen('127.0.0.1:0');
  afterwards(() => server.close(0));
  return {
    port,
    address: `127.0.0.1:${port}`,
    begun: () => begun,
    reported: () => reports.splice(0),
    close: (graceMs) => server.close(graceMs),
  };
}

/** An unstarted server, for what concerns starting. */
export function bareServer(options: Options = {}): GrpcServer {
  const server = new GrpcServer({ report, ...options });
  server.addService(SERVICE, { ...DEFAULTS });
  afterwards(() => server.close(0));
  return server;
}

/** The number a text says, if it is one that can be served. */
const bounded = (text: string) => Math.min(Number.parseInt(text, 10) || 0, 2 ** 20);

function bytes(value: Buffer): Buffer {
  if (value.toString('latin1').startsWith(POISON)) throw new Error('poison');
  return value;
}

function method(
  path: string,
  requestStream: boolean,
  responseStream: boolean,
): MethodDefinition<Buffer, Buffer> {
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  };
}

const SERVICE: ServiceDefinition = {
  Unary: method(PATH.unary, false, false),
  Upload: method(PATH.upload, true, true),
  Download: method(PATH.download, false, true),
  Chat: method(PATH.chat, true, true),
};

const DEFAULTS: Handlers = {
  Unary: (call, answer) => answer(null, call.request),
  Upload: (call) => {
    let count = 0;
    let total = 0;
    call.on('data', (message: Buffer) => {
      count += 1;
      total += message.length;
    });
    call.on('end', () => call.end(Buffer.from(`${count} ${total}`)));
  },
  Download: (call) => {
    const [count = 0, size = 0] = call.request.toString().split(' ').map(bounded);
    let sent = 0;
    const write = (): void => {
      while (sent < count) if (!call.write(Buffer.alloc(size, sent++ % 256))) return;
      call.end();
    };
    call.on('drain', write);
    write();
  },
  Chat: (call) => {
    call.on('data', (message: Buffer) => {
      if (!call.write(message)) call.pause();
    });
    call.on('drain', () => call.resume());
    call.on('end', () => call.end());
  },
};
