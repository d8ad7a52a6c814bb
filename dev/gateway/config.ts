/** What the development gateway is told by its environment. */
import { addressFrom, listFrom, LOOPBACK, portFrom, shiftedPort, type Env } from '../common/env';

export interface GatewayConfig {
  /** The address to listen on; loopback unless told. */
  bindHost?: string;
  /** 0 takes a free port. */
  grpcPort: number;
  httpPort: number;
  /** The host that IM Service is to dial; the port is the one gRPC was bound to. */
  advertisedHost: string;
  etcdEndpoints: string[];
  /** Without brokers there are no group messages. */
  kafkaBrokers: string[];
  imAddress: string;
  userServiceAddress: string;
  /** Of the contract: 90 s, renewed each third of it. */
  leaseSeconds: number;
}

/** The configuration from environment variables, defaults moved by PORT_OFFSET. */
export function gatewayConfig(env: Env): GatewayConfig {
  const etcdEndpoints = listFrom(env, 'ETCD_ENDPOINTS');
  const imPort = portFrom(env, 'GRPC_PORT', 9094);
  return {
    grpcPort: portFrom(env, 'DEV_GATEWAY_PORT', 9097),
    httpPort: portFrom(env, 'DEV_GATEWAY_HTTP_PORT', 8097),
    bindHost: env.DEV_BIND_ADDRESS?.trim() || LOOPBACK,
    advertisedHost: env.DEV_GATEWAY_ADVERTISED_HOST?.trim() || LOOPBACK,
    etcdEndpoints:
      etcdEndpoints.length > 0 ? etcdEndpoints : [`127.0.0.1:${shiftedPort(env, 2379)}`],
    kafkaBrokers: listFrom(env, 'KAFKA_BROKERS'),
    imAddress: env.DEV_IM_GRPC_ADDRESS?.trim() || `127.0.0.1:${imPort}`,
    userServiceAddress: addressFrom(env, 'USER_SERVICE_ADDRESS', 9096),
    leaseSeconds: 90,
  };
}
