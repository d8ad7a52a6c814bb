/** `im.v1.IMStreamService`: the streaming way in for gateways. */
import type {
  ServerDuplexStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { Metrics } from '../metrics';
import { RouteStream } from './route-stream';
import type { RouteStreamDeps } from './route-stream';

export interface StreamServiceDeps extends Omit<RouteStreamDeps, 'lanes'> {
  /** New for each stream. */
  readonly lanes: () => RouteStreamDeps['lanes'];
  readonly metrics: Metrics;
}

export class StreamService {
  private readonly streams = new Set<RouteStream>();
  private isStopping = false;

  constructor(private readonly deps: StreamServiceDeps) {}

  readonly handlers: UntypedServiceImplementation = {
    Route: (call: ServerDuplexStream<Buffer, Buffer>) => this.open(call),
  };

  /** Tells every stream that the server stops; each ends once what it has taken is answered. */
  stop(): void {
    this.isStopping = true;
    for (const stream of this.streams) stream.stop();
  }

  private open(call: ServerDuplexStream<Buffer, Buffer>): void {
    const { metrics, lanes, ...deps } = this.deps;
    const stream = new RouteStream(call, { ...deps, lanes: lanes() });
    this.streams.add(stream);
    metrics.streams.inc();
    call.once('close', () => {
      this.streams.delete(stream);
      metrics.streams.dec();
    });
    if (this.isStopping) stream.stop();
  }
}

/** The service's definition with bytes on our side: see stream-codec.ts. */
export function withBytes(definition: ServiceDefinition): ServiceDefinition {
  const same = (bytes: Buffer): Buffer => bytes;
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      return [name, { ...method, requestDeserialize: same, responseSerialize: same }];
    }),
  );
}
