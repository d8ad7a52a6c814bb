/** Connections to gateways: one channel and one circuit breaker for each address the registry names. */
import { status } from '@grpc/grpc-js';
import type { ServiceDefinition } from '@grpc/grpc-js';
import { LRUCache } from 'lru-cache';
import type { Metrics } from '../../metrics';
import { CircuitBreaker } from '../breaker';
import { loadProto, serviceIn } from '../protos';
import { GrpcError, timeoutHeader } from './grpc-call';
import type { Method } from './grpc-call';
import { GrpcChannel } from './grpc-channel';
import { encodeHeaders } from '../../http2/hpack';

/** Addresses kept connected; the longest unused one is closed beyond it. */
const MAX_GATEWAYS = 1_000;

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
  readonly channel: GrpcChannel;
  readonly breaker: CircuitBreaker;
  /** By name and deadline; there are few of each. */
  readonly methods: Map<string, Method>;
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
    dispose: (gateway) => gateway.channel.close(),
  });

  constructor(private readonly options: GatewaysOptions) {}

  /** One unary call; rejects with {@link BreakerOpenError} or {@link GrpcError}, within `deadlineMs`. */
  async call<Response>(
    address: string,
    name: GatewayMethod,
    request: object,
    deadlineMs: number,
  ): Promise<Response> {
    const gateway = this.gateway(address);
    if (!gateway.breaker.allows()) throw new BreakerOpenError(`breaker of ${address} is open`);
    try {
      const response = await this.unary<Response>(gateway, name, request, deadlineMs);
      this.note(gateway.breaker, true);
      return response;
    } catch (error) {
      this.note(gateway.breaker, !isGatewayFault(error));
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
        try {
          await this.unary(this.gateway(address), 'HealthCheck', {}, deadlineMs);
        } catch (error) {
          if (isGatewayFault(error)) throw error;
        }
      }),
    );
  }

  close(): void {
    this.gateways.clear();
  }

  private async unary<Response>(
    gateway: Gateway,
    name: GatewayMethod,
    request: object,
    deadlineMs: number,
  ): Promise<Response> {
    const { requestSerialize, responseDeserialize } = this.definition(name);
    const method = this.method(gateway, name, deadlineMs);
    const response = await gateway.channel.unary(method, requestSerialize(request), deadlineMs);
    return responseDeserialize(response) as Response;
  }

  private definition(name: GatewayMethod): ServiceDefinition[string] {
    const definition = this.service[name];
    if (!definition) throw new Error(`the gateway's proto has no ${name}`);
    return definition;
  }

  /** Everything about a call's headers is the same each time: they are encoded once. */
  private method(gateway: Gateway, name: GatewayMethod, deadlineMs: number): Method {
    const key = `${name} ${deadlineMs}`;
    let method = gateway.methods.get(key);
    if (!method) {
      const head = encodeHeaders([
        [':method', 'POST'],
        [':scheme', 'http'],
        [':path', this.definition(name).path],
        [':authority', gateway.channel.address],
        ['te', 'trailers'],
        ['grpc-timeout', timeoutHeader(deadlineMs)],
        ['content-type', 'application/grpc'],
        ['user-agent', 'im-service'],
      ]);
      gateway.methods.set(key, (method = { head }));
    }
    return method;
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
      channel: new GrpcChannel(address),
      breaker: new CircuitBreaker({ failures: breakerFailures, openMs: breakerOpenMs, now }),
      methods: new Map(),
    };
    this.gateways.set(address, gateway);
    return gateway;
  }
}

function isGatewayFault(error: unknown): boolean {
  return error instanceof GrpcError && GATEWAY_FAULTS.has(error.code);
}
