/** grpc-js as the server under test, to test the tests. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';

export class GrpcServer {
  private readonly server: Server;

  constructor(
    options: {
      maxStreams?: number;
      keepaliveMs?: number;
      keepaliveTimeoutMs?: number;
      handshakeMs?: number;
      maxMessageBytes?: number;
    } = {},
  ) {
    this.server = new Server({
      'grpc.max_concurrent_streams': options.maxStreams ?? 10_000,
      'grpc.enable_channelz': 0,
      'grpc.keepalive_time_ms': options.keepaliveMs ?? 30_000,
      'grpc.keepalive_timeout_ms': options.keepaliveTimeoutMs ?? 10_000,
      'grpc.max_receive_message_length': options.maxMessageBytes ?? 4 * 2 ** 20,
    });
  }

  addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    this.server.addService(definition, implementation);
  }

  listen(address: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) =>
        error ? reject(error) : resolve(port),
      );
    });
  }

  close(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.server.forceShutdown();
        resolve();
      }, graceMs);
      this.server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
