/** Connections to gateways: one channel and one circuit breaker for each address the registry names. */
import { Client, credentials, status } from '@grpc/grpc-js';
import type { ServiceDefinition, ServiceError } from '@grpc/grpc-js';
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../../metrics';
import { CircuitBreaker } from '../breaker';
import { loadProto, serviceIn } from '../protos';

/** Addresses kept connected; the longest unused one is closed beyond it. */
const MAX_GATEWAYS = 1_000;
/** A gateway that is back after an outage is reached again within this, ms (grpc-js default: 120 s). */
const MAX_RECONNECT_BACKOFF_MS = 1_000;
/** Finds a connection whose other end is silently gone. */
const KEEPALIVE_MS = 10_000;

/** Status codes that speak against the gateway as a whole, not against one request. */
const GATEWAY_FAULTS = new Set([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
]);

/** The gateway's circuit breaker is open: nothing was sent. */
export class BreakerOpenError extends Error {
  override readonly name = 'BreakerOpenError';
}

interface Gateway {
  readonly client: Client;
  readonly breaker: CircuitBreaker;
}

export interface GatewaysOptions {
  readonly breakerFailures: number;
  readonly breakerOpenMs: number;
  readonly metrics: Metrics;
  readonly now: () => number;
}

export type GatewayMethod = 'PushMessage' | 'PushReadReceipt' | 'HealthCheck';

export class Gateways {
  private readonly service: ServiceDefinition = serviceIn(
    loadProto('gateway/gateway.proto'),
    'im_gateway_servicepb.UimUgatewayUserviceService',
  );
  private readonly gateways = new LRUCache<string, Gateway>({
    max: MAX_GATEWAYS,
    dispose: (gateway) => gateway.client.close(),
  });

  constructor(private readonly options: GatewaysOptions) {}

  /** One unary call; rejects with {@link BreakerOpenError} or grpc-js's error, within `deadlineMs`. */
  async call<Response>(
    address: string,
    name: GatewayMethod,
    request: object,
    deadlineMs: number,
  ): Promise<Response> {
    const gateway = this.gateway(address);
    if (!gateway.breaker.allows()) throw new BreakerOpenError(`breaker of ${address} is open`);
    try {
      const response = await this.unary<Response>(gateway.client, name, request, deadlineMs);
      this.note(gateway.breaker, true);
      return response;
    } catch (error) {
      this.note(gateway.breaker, !GATEWAY_FAULTS.has((error as ServiceError).code));
      throw error;
    }
  }

  /**
   * Rejects when none of the gateways answers a health check; with no gateways there is none to fail.
   * An answer of any kind will do: a gateway that knows no such method is there all the same.
   */
  async requireOne(addresses: readonly string[], deadlineMs: number): Promise<void> {
    if (addresses.length === 0) return;
    await Promise.any(
      addresses.map(async (address) => {
        const { client } = this.gateway(address);
        try {
          await this.unary(client, 'HealthCheck', {}, deadlineMs);
        } catch (error) {
          if (GATEWAY_FAULTS.has((error as ServiceError).code)) throw error;
        }
      }),
    );
  }

  close(): void {
    this.gateways.clear();
  }

  private unary<Response>(
    client: Client,
    name: GatewayMethod,
    request: object,
    deadlineMs: number,
  ): Promise<Response> {
    const method = this.service[name];
    if (!method) throw new Error(`the gateway's proto has no ${name}`);
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method.path,
        method.requestSerialize as (value: object) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => Response,
        request,
        { deadline: this.options.now() + deadlineMs },
        (error, response) => {
          if (error) reject(error);
          else resolve(response as Response);
        },
      );
    });
  }

  private note(breaker: CircuitBreaker, well: boolean): void {
    const before = breaker.isOpen;
    if (well) breaker.succeeded();
    else breaker.failed();
    if (before !== breaker.isOpen) this.options.metrics.breakerOpen.inc(breaker.isOpen ? 1 : -1);
  }

  private gateway(address: string): Gateway {
    const known = this.gateways.get(address);
    if (known) return known;
    const { breakerFailures, breakerOpenMs, now } = this.options;
    const gateway: Gateway = {
      client: new Client(address, credentials.createInsecure(), {
        'grpc.initial_reconnect_backoff_ms': 100,
        'grpc.max_reconnect_backoff_ms': MAX_RECONNECT_BACKOFF_MS,
        'grpc.keepalive_time_ms': KEEPALIVE_MS,
        'grpc.keepalive_timeout_ms': 2_000,
        'grpc.enable_retries': 0,
        'grpc.use_local_subchannel_pool': 1,
      }),
      breaker: new CircuitBreaker({ failures: breakerFailures, openMs: breakerOpenMs, now }),
    };
    this.gateways.set(address, gateway);
    return gateway;
  }
}
