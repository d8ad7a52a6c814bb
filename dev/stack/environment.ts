/**
 * Where everything listens. One table of standard ports, one offset that shifts them all, and the
 * environment that follows from both. What the caller has set is used as it is.
 */

export const SERVER_NAMES = ['mysql', 'redis', 'kafka', 'etcd', 'temporal'] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

/** Each server's standard port; the controller and peer ports are internal to Kafka and etcd. */
const STANDARD_PORTS = {
  mysql: 3306,
  redis: 6379,
  kafka: 9092,
  kafkaController: 9093,
  etcd: 2379,
  etcdPeer: 2380,
  temporal: 7233,
  temporalUi: 8233,
  grpc: 9094,
  http: 8094,
  workerHttp: 8095,
  userService: 9096,
  userServiceHttp: 8096,
  gateway: 9097,
  gatewayHttp: 8097,
} as const;

export type Ports = Record<keyof typeof STANDARD_PORTS, number>;

/** The variable that names each server; a value of the caller's own replaces our server. */
const ADDRESS_OF = {
  mysql: 'MYSQL_URL',
  redis: 'REDIS_URL',
  kafka: 'KAFKA_BROKERS',
  etcd: 'ETCD_ENDPOINTS',
  temporal: 'TEMPORAL_ADDRESS',
} as const satisfies Record<ServerName, keyof StackEnvironment>;

export interface StackEnvironment {
  PORT_OFFSET: string;
  MYSQL_URL: string;
  /** Empty when MySQL is not ours. */
  MYSQL_OWNER: string;
  REDIS_URL: string;
  KAFKA_BROKERS: string;
  ETCD_ENDPOINTS: string;
  TEMPORAL_ADDRESS: string;
  TEMPORAL_NAMESPACE: string;
  TEMPORAL_UI_URL: string;
  USER_SERVICE_ADDRESS: string;
  GRPC_PORT: string;
  HTTP_PORT: string;
  IM_WORKER_HTTP_PORT: string;
  DEV_USER_SERVICE_PORT: string;
  DEV_USER_SERVICE_HTTP_PORT: string;
  DEV_GATEWAY_PORT: string;
  DEV_GATEWAY_HTTP_PORT: string;
}

/** The standard ports, all shifted by `offset`. */
export function portsFor(offset: number): Ports {
  const shifted = Object.entries(STANDARD_PORTS).map(([name, port]) => [name, port + offset]);
  return Object.fromEntries(shifted) as Ports;
}

function defaults(offset: number): StackEnvironment {
  const ports = portsFor(offset);
  return {
    PORT_OFFSET: String(offset),
    MYSQL_URL: `mysql://im:im@127.0.0.1:${ports.mysql}/im`,
    MYSQL_OWNER: 'im_owner:im_owner',
    REDIS_URL: `redis://127.0.0.1:${ports.redis}`,
    KAFKA_BROKERS: `127.0.0.1:${ports.kafka}`,
    ETCD_ENDPOINTS: `http://127.0.0.1:${ports.etcd}`,
    TEMPORAL_ADDRESS: `127.0.0.1:${ports.temporal}`,
    TEMPORAL_NAMESPACE: 'default',
    TEMPORAL_UI_URL: `http://127.0.0.1:${ports.temporalUi}`,
    USER_SERVICE_ADDRESS: `127.0.0.1:${ports.userService}`,
    GRPC_PORT: String(ports.grpc),
    HTTP_PORT: String(ports.http),
    IM_WORKER_HTTP_PORT: String(ports.workerHttp),
    DEV_USER_SERVICE_PORT: String(ports.userService),
    DEV_USER_SERVICE_HTTP_PORT: String(ports.userServiceHttp),
    DEV_GATEWAY_PORT: String(ports.gateway),
    DEV_GATEWAY_HTTP_PORT: String(ports.gatewayHttp),
  };
}

/** The environment of everything that runs on this stack; a variable in `given` wins. */
export function stackEnvironment(
  offset: number,
  given: NodeJS.ProcessEnv = process.env,
): Readonly<StackEnvironment> {
  const environment = defaults(offset);
  for (const name of Object.keys(environment) as (keyof StackEnvironment)[]) {
    // PORT_OFFSET is what was decided, which may be a default of the command's own.
    if (name !== 'PORT_OFFSET') environment[name] = given[name] || environment[name];
  }
  // Another server has another owner, or none.
  if (!ownServers(offset, given).includes('mysql')) {
    environment.MYSQL_OWNER = given['MYSQL_OWNER'] ?? '';
  }
  return environment;
}

/** An environment that says nothing of any stack, for a second one beside it. */
export function withoutStack(given: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const ofStack = new Set(Object.keys(defaults(0)));
  return Object.fromEntries(Object.entries(given).filter(([name]) => !ofStack.has(name)));
}

/**
 * The servers that are ours to start: those whose address is not the caller's own. An address that
 * equals our default counts as ours, so that processes which inherit the environment of the stack
 * (tests, `npm run stack` inside it) still manage the same servers.
 */
export function ownServers(offset: number, given: NodeJS.ProcessEnv = process.env): ServerName[] {
  const ours = defaults(offset);
  return SERVER_NAMES.filter((name) => {
    const address = given[ADDRESS_OF[name]];
    return !address || address === ours[ADDRESS_OF[name]];
  });
}

/** Whether the user service is the dev one. */
export function ownsUserService(offset: number, given: NodeJS.ProcessEnv = process.env): boolean {
  const address = given['USER_SERVICE_ADDRESS'];
  return !address || address === defaults(offset).USER_SERVICE_ADDRESS;
}
