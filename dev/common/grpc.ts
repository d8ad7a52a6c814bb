/** The few lines of gRPC that all neighbours need: load a proto, call with a deadline, listen, stop. */
import { join } from 'node:path';
import * as grpc from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { projectRoot } from '../../src/paths';
import { LOOPBACK } from './env';

/** What a client of any loaded service looks like before its methods are known. */
type UnaryMethod = (
  request: object,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  callback: (error: grpc.ServiceError | null, response: object) => void,
) => void;

/** The constructor (client and definition) of one service, e.g. `user.v1.UserService`. */
export function loadService(protoFile: string, fullName: string): grpc.ServiceClientConstructor {
  const definition = loadSync(join(projectRoot(), 'proto', protoFile), {
    includeDirs: [join(projectRoot(), 'proto')],
    keepCase: true,
    longs: Number, // sequence numbers and unix ms stay far below 2^53
    enums: Number,
    defaults: true,
  });
  let node: unknown = grpc.loadPackageDefinition(definition);
  for (const part of fullName.split('.')) node = (node as Record<string, unknown>)[part];
  if (typeof node !== 'function') throw new Error(`${fullName} is not in proto/${protoFile}`);
  return node as grpc.ServiceClientConstructor;
}

/** A channel to one address that notices a silent peer. */
export function connect(service: grpc.ServiceClientConstructor, address: string): grpc.Client {
  return new service(address, grpc.credentials.createInsecure(), {
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 3_000,
    // A server that comes back should be found within a second, not after the two minutes of the default.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1_000,
  });
}

/** One unary call; it always has a deadline. */
export function call<Response>(
  client: grpc.Client,
  method: string,
  request: object,
  deadlineMs: number,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    const unary = (client as unknown as Record<string, UnaryMethod>)[method];
    if (unary === undefined) throw new Error(`the service has no method ${method}`);
    unary.call(
      client,
      request,
      new grpc.Metadata(),
      { deadline: Date.now() + deadlineMs },
      (error, response) => (error ? reject(error) : resolve(response as Response)),
    );
  });
}

/** A promise-returning handler as grpc-js wants it; what it throws is answered as INTERNAL. */
export function unary<Request, Response>(
  handle: (request: Request, deadline: Date | number) => Promise<Response> | Response,
): grpc.handleUnaryCall<Request, Response> {
  return (incoming, answer) => {
    Promise.resolve()
      .then(() => handle(incoming.request, incoming.getDeadline()))
      .then(
        (response) => answer(null, response),
        (error: unknown) => answer({ code: grpc.status.INTERNAL, details: String(error) }),
      );
  };
}

/** Binds to `host` and resolves with the port taken (of interest when asked for 0). */
export function listen(server: grpc.Server, port: number, host = LOOPBACK): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(`${host}:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
}

/** Lets running calls end for `graceMs`, then cuts what is left. */
export function stopServer(server: grpc.Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
