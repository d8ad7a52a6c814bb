/** Where the demo finds the running system. */
import { addressFrom, portFrom, shiftedPort, type Env } from '../common/env';

export interface DemoConfig {
  gatewayUrl: string;
  userServiceUrl: string;
  imAddress: string;
  imUrl: string;
  temporalAddress: string;
  temporalNamespace: string;
  temporalUiUrl: string;
}

/** The addresses from environment variables, defaults moved by PORT_OFFSET. */
export function demoConfig(env: Env): DemoConfig {
  const local = (name: string, standard: number): string =>
    `http://127.0.0.1:${portFrom(env, name, standard)}`;
  return {
    gatewayUrl: local('DEV_GATEWAY_HTTP_PORT', 8097),
    userServiceUrl: local('DEV_USER_SERVICE_HTTP_PORT', 8096),
    imAddress: env.DEV_IM_GRPC_ADDRESS?.trim() || `127.0.0.1:${portFrom(env, 'GRPC_PORT', 9094)}`,
    imUrl: local('HTTP_PORT', 8094),
    temporalAddress: addressFrom(env, 'TEMPORAL_ADDRESS', 7233),
    temporalNamespace: env.TEMPORAL_NAMESPACE || 'default',
    temporalUiUrl: env.TEMPORAL_UI_URL || `http://127.0.0.1:${shiftedPort(env, 8233)}`,
  };
}

/** The page of one workflow in Temporal's UI. */
export function workflowUrl(config: DemoConfig, workflowId: string): string {
  const { temporalUiUrl, temporalNamespace } = config;
  return `${temporalUiUrl}/namespaces/${temporalNamespace}/workflows/${encodeURIComponent(workflowId)}`;
}
