/** The gRPC listener: the spec's service, health checking and reflection. */
import { Server, ServerCredentials } from '@grpc/grpc-js';
import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { loadProto, serviceIn } from '../activities/protos';
import { withUtf8Check } from './im-service';

const SERVICE = 'im.v1.IMService';

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
): Promise<GrpcListener> {
  const definition = loadProto('api/v1/im.proto');
  const server = new Server({
    'grpc.max_concurrent_streams': 10_000,
    // Nobody asks for its statistics, and each call pays for them.
    'grpc.enable_channelz': 0,
    // Clients behind a dead NAT entry are noticed and their calls given up.
    'grpc.keepalive_time_ms': 30_000,
    'grpc.keepalive_timeout_ms': 10_000,
  });
  server.addService(withUtf8Check(serviceIn(definition, SERVICE)), service);
  const health = new HealthImplementation({ '': 'SERVING', [SERVICE]: 'SERVING' });
  health.addToServer(server);
  new ReflectionService(definition).addToServer(server);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return {
    port,
    close: (graceMs) => {
      health.setStatus('', 'NOT_SERVING');
      health.setStatus(SERVICE, 'NOT_SERVING');
      return shutDown(server, graceMs);
    },
  };
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
