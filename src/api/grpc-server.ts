/** The gRPC listener: the spec's service, the streaming one, health checking and reflection. */
import type { Server, UntypedServiceImplementation } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { loadProto, serviceIn } from '../activities/protos';
import type { Logger } from '../logger';
import { GrpcServer } from './grpc/server';
import { withUtf8Check } from './im-service';
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
  log: Logger,
): Promise<GrpcListener> {
  const definition = loadProto('api/v1/im_stream.proto');
  const server = new GrpcServer({
    report: (error) => log.error({ err: error }, 'a gRPC handler threw'),
  });
  server.addService(withUtf8Check(serviceIn(definition, SERVICE)), service);
  server.addService(withBytes(serviceIn(definition, STREAM_SERVICE)), streams.handlers);
  const health = new HealthImplementation(
    Object.fromEntries(HEALTH_NAMES.map((name) => [name, 'SERVING'])),
  );
  // Of grpc-js's server both use no more than `addService`.
  const asGrpcJs = server as unknown as Server;
  health.addToServer(asGrpcJs);
  new ReflectionService(definition).addToServer(asGrpcJs);
  const port = await server.listen(address);
  return {
    port,
    close: (graceMs) => {
      for (const name of HEALTH_NAMES) health.setStatus(name, 'NOT_SERVING');
      streams.stop();
      return server.close(graceMs);
    },
  };
}
