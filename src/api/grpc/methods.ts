/** The methods a server has, by path; services are described as grpc-js's `addService` takes them. */
import { status } from '@grpc/grpc-js';
import type {
  Metadata,
  MethodDefinition,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { StatusError } from './status-error';
import type { Status } from './status-error';
import type { StreamingCall } from './streaming-call';

export type UnaryHandler = (
  call: { readonly request: unknown },
  callback: (error: Partial<Status> | null, value?: unknown, trailer?: Metadata) => void,
) => void;
export type StreamingHandler = (call: StreamingCall) => void;

interface Codec {
  decode(bytes: Buffer): unknown;
  encode(value: unknown): Uint8Array;
}

export type Method = Codec &
  (
    | { readonly kind: 'unary'; readonly handler: UnaryHandler }
    /** `takesStream`: else there is one request, which the handler is given. */
    | {
        readonly kind: 'streaming';
        readonly takesStream: boolean;
        readonly handler: StreamingHandler;
      }
  );

export class Methods {
  private readonly byPath = new Map<string, Method>();

  /** Throws on a method of a kind that nobody needed so far, and on one without a handler. */
  add(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    for (const [name, method] of Object.entries(definition)) {
      const handler = implementation[name] ?? implementation[method.originalName ?? name];
      if (!handler) throw new Error(`${method.path} has no handler`);
      this.byPath.set(method.path, methodOf(method, handler));
    }
  }

  find(path: string): Method {
    const method = this.byPath.get(path);
    if (method) return method;
    const details = `The server does not implement the method ${path}`;
    throw new StatusError(status.UNIMPLEMENTED, details);
  }
}

function methodOf(
  definition: MethodDefinition<unknown, unknown>,
  handler: UntypedServiceImplementation[string],
): Method {
  const { path, requestStream, responseStream, requestDeserialize, responseSerialize } = definition;
  const codec: Codec = { decode: requestDeserialize, encode: responseSerialize };
  if (responseStream) {
    return {
      ...codec,
      kind: 'streaming',
      takesStream: requestStream,
      handler: handler as unknown as StreamingHandler,
    };
  }
  if (requestStream) throw new Error(`${path}: many requests with one answer are not supported`);
  return { ...codec, kind: 'unary', handler: handler as unknown as UnaryHandler };
}

/** A request that cannot be decoded is told so, and no more: the bytes are the client's. */
export function decoded(method: Method, message: Buffer): unknown {
  try {
    return method.decode(message);
  } catch {
    throw new StatusError(status.INTERNAL, 'Error deserializing request');
  }
}
