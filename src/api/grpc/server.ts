/** A gRPC server: listens, and holds the connections. Services add themselves as to grpc-js's. */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ServerConnection } from './connection';
import type { ConnectionOptions } from './connection';
import { Methods } from './methods';

export type GrpcServerOptions = Partial<Omit<ConnectionOptions, 'methods'>> &
  Pick<ConnectionOptions, 'report'>;

const DEFAULTS = {
  maxStreams: 10_000,
  maxMessageBytes: 4 * 1_024 * 1_024,
  // Clients behind a dead NAT entry are noticed and their calls given up.
  keepaliveMs: 30_000,
  keepaliveTimeoutMs: 10_000,
  handshakeMs: 10_000,
};

export class GrpcServer {
  private readonly methods = new Methods();
  private readonly connections = new Set<ServerConnection>();
  private readonly options: ConnectionOptions;
  private readonly server: Server;
  private isClosing = false;

  constructor(options: GrpcServerOptions) {
    this.options = { ...DEFAULTS, ...options, methods: this.methods };
    this.server = createServer({ noDelay: true }, (socket) => this.accept(socket));
  }

  /** Throws on a method without a handler, and on one with many requests and one answer. */
  addService(definition: ServiceDefinition, implementation: UntypedServiceImplementation): void {
    this.methods.add(definition, implementation);
  }

  /** Resolves with the port, once "host:port" is bound; rejects when it is taken. */
  async listen(address: string): Promise<number> {
    const at = address.lastIndexOf(':');
    const host = address.slice(0, at).replace(/^\[(.*)\]$/, '$1');
    this.server.listen({ host, port: Number(address.slice(at + 1)) });
    await once(this.server, 'listening');
    return (this.server.address() as AddressInfo).port;
  }

  /** Takes no more calls; resolves when those under way are over, by force after `graceMs`. */
  async close(graceMs: number): Promise<void> {
    this.isClosing = true;
    const closed = once(this.server, 'close');
    this.server.close();
    for (const connection of this.connections) connection.drain();
    const timer = setTimeout(() => {
      for (const connection of this.connections) connection.destroy();
    }, graceMs);
    await closed;
    clearTimeout(timer);
  }

  private accept(socket: Socket): void {
    if (this.isClosing) {
      socket.destroy();
      return;
    }
    const connection = new ServerConnection(socket, this.options, () =>
      this.connections.delete(connection),
    );
    this.connections.add(connection);
  }
}
