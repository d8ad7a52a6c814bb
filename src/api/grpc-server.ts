/** The gRPC listener: the spec's service, the streaming one, health checking and reflection. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { loadProto, serviceIn } from '../activities/protos';
import { withUtf8Check } from './im-service';
import { withPlainSessionTables } from './session-tables';
import { withBytes } from './stream-service';
import type { StreamService } from './stream-service';

const SERVICE = 'im.v1.IMService';
const STREAM_SERVICE = 'im.v1.IMStreamService';
/** Of the health service; the empty name is the server as a whole. */
const HEALTH_NAMES = ['', SERVICE, STREAM_SERVICE];

export interface GrpcListener {
  /** The port that was bound; differs from the one asked for when that was 0. */
  readonly port: number;
  /** Stops accepting, finishes what is in flight, and ends what is not over after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

/** Binds and serves; rejects when the port is taken. */
export async function listenGrpc(
  address: string,
  service: UntypedServiceImplementation,
  streams: StreamService,
): Promise<GrpcListener> {
  const definition = loadProto('api/v1/im_stream.proto');
  const server = new Server({
    'grpc.max_concurrent_streams': 10_000,
    // Nobody asks for its statistics, and each call pays for them.
    'grpc.enable_channelz': 0,
    // Clients behind a dead NAT entry are noticed and their calls given up.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(withUtf8Check(serviceIn(definition, SERVICE)), service);
  server.addService(withBytes(serviceIn(definition, STREAM_SERVICE)), streams.handlers);
  const health = new HealthImplementation(
    Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])),
  );
  health.addToServer(server);
  new ReflectionService(definition).addToServer(server);
  const port = await withPlainSessionTables(() => bind(server, address));
  return {
    port,
    close: (graceMs) => {
      for (const name of HEALTH_NAMES) health.setStatus(name, 'NOT_SERVING');
      streams.stop();
      return shutDown(server, graceMs);
    },
  };
}

function bind(server: Server, address: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
}

function shutDown(server: Server, graceMs: number): Promise<void> {
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
