/**
 * Every setting of the service: name, type, default, meaning. `config.ts` reads the environment by
 * it; `.env.example` and the README's table are generated from it (`npm run docs:config`).
 */
import { z } from 'zod';
import { integer, list, oneOf, optional, port, setting, text, url } from './config-setting';
import { KEEPING_SETTINGS } from './config-keeping';
import type { Setting } from './config-setting';

/** A JWT secret that ships in the repository; refused in production. */
export const DEVELOPMENT_JWT_SECRET = 'development-only-secret-0123456789abcdef';

export const SETTINGS = {
  NODE_ENV: oneOf(
    ['development', 'test', 'production'],
    'development',
    'Production refuses development secrets.',
  ),
  LOG_LEVEL: oneOf(
    ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    'info',
    'The least severe log line written.',
  ),
  STACK: oneOf(
    ['auto', 'docker', 'native', 'external'],
    'auto',
    'How `npm start` gets the servers; `external`: it starts none and uses the addresses below.',
  ),
  PORT_OFFSET: integer(0, 0, 50_000, "Added to every default port, ours and the servers'."),
  GRPC_PORT: port(9094, 'gRPC of the server.'),
  HTTP_PORT: port(8094, 'REST of the server.'),
  IM_BIND_ADDRESS: text(
    '127.0.0.1',
    'Address that gRPC and REST listen on.',
    'an address of this machine, 0.0.0.0 for all',
  ),
  IM_WORKER_HTTP_PORT: port(8095, 'Health and metrics of the worker.'),
  MYSQL_URL: url(
    ['mysql:'],
    'mysql://im:im@127.0.0.1:3306/im',
    'MySQL or MariaDB with the database.',
  ),
  MYSQL_OWNER: setting({
    schema: z
      .string()
      .regex(/^[^:]+:/)
      .optional(),
    fallback: undefined,
    meaning:
      'Database user that migrates, so that the one of MYSQL_URL cannot change `audit_logs`; unset: the one of MYSQL_URL does both.',
    allowed: 'USER:PASSWORD, with all rights and GRANT OPTION on the database',
    secret: true,
  }),
  REDIS_URL: url(['redis:', 'rediss:'], 'redis://127.0.0.1:6379', 'Redis.'),
  KAFKA_BROKERS: list(
    '127.0.0.1:9092',
    'Kafka bootstrap brokers.',
    'host:port, several with commas between',
  ),
  ETCD_ENDPOINTS: list(
    'http://127.0.0.1:2379',
    'etcd, where the presence registry is.',
    'URLs, several with commas between',
  ),
  TEMPORAL_ADDRESS: text('127.0.0.1:7233', 'Temporal frontend.', 'host:port'),
  TEMPORAL_NAMESPACE: text('default', 'Temporal namespace.', 'a name'),
  USER_SERVICE_ADDRESS: text('127.0.0.1:9096', 'The user service.', 'host:port'),
  JWT_SECRET: setting({
    schema: z.string().min(1),
    fallback: DEVELOPMENT_JWT_SECRET,
    meaning: 'HS256 secret of the bearer tokens.',
    allowed: 'a text; in production at least 32 characters',
    secret: true,
  }),
  IM_JWT_JWKS: optional(
    'Public keys of the token issuer, RS256, ES256 or EdDSA; JWT_SECRET then counts for nothing.',
    'the URL or the file of a JWKS',
  ),
  IM_JWT_ISSUER: optional('The `iss` that tokens must have; unset: any.', 'a text'),
  IM_JWT_AUDIENCE: optional('The `aud` that tokens must have; unset: any.', 'a text'),
  IM_JWT_CLOCK_TOLERANCE_S: integer(
    30,
    0,
    600,
    "How far the token issuer's clock may be off when exp and nbf are checked.",
  ),
  IM_HTTP_DEADLINE_MS: integer(
    10_000,
    100,
    60_000,
    'How long a REST request may be worked on, and how long its body may take to come.',
  ),
  IM_HTTP_STALL_MS: integer(
    60_000,
    100,
    600_000,
    'How long a client may take nothing of a download before it is let go.',
  ),
  IM_HTTP_MAX_IN_FLIGHT: integer(
    1_000,
    1,
    100_000,
    'REST requests a server works on at once; more are 503.',
  ),
  IM_HTTP_BODY_MAX_BYTES: integer(16_384, 256, 1_048_576, 'Largest body of a REST request.'),
  IM_HTTP_TRUSTED_PROXIES: integer(
    0,
    0,
    10,
    'Proxies in front of REST that add to X-Forwarded-For; 0: the header counts for nothing.',
  ),
  IM_CORS_ORIGINS: {
    schema: z.string().transform((value) => value.split(',').map((part) => part.trim())),
    fallback: 'none',
    meaning: 'Origins of web pages that may call REST.',
    allowed: 'origins with commas between, * for all, none',
  } satisfies Setting<string[]>,
  IM_RATE_LIMIT_USER: integer(600, 0, 1_000_000, 'REST requests a minute of one user; 0: any.'),
  IM_RATE_LIMIT_ADDRESS: integer(
    3_000,
    0,
    10_000_000,
    'REST requests a minute from one address (IPv6: /64); 0: any.',
  ),
  ROUTING_EXECUTOR: oneOf(
    ['local', 'temporal'],
    'local',
    'Where a message is routed: in the server, or as a Temporal standalone activity.',
  ),
  SERVER_PROCESSES: integer(
    1,
    1,
    256,
    'Server processes behind the gRPC and the REST port; as many as there are cores for them.',
  ),
  IM_MYSQL_POOL: integer(10, 1, 200, 'MySQL connections of a process.'),
  IM_KAFKA_PARTITIONS_OFFLINE: integer(
    64,
    1,
    1024,
    'Partitions of offline_msg and private_msg when the service creates them.',
  ),
  IM_KAFKA_PARTITIONS_GROUP: integer(
    32,
    1,
    1024,
    'Partitions of group_msg when the service creates it.',
  ),
  IM_KAFKA_REPLICATION: integer(
    1,
    1,
    7,
    'Replication factor of topics the service creates; 3 in production.',
  ),
  IM_KAFKA_CLIENT_ID: text(
    'im-service',
    'Kafka client id, and prefix of the consumer groups.',
    'a name',
  ),
  IM_TEMPORAL_TASK_QUEUE: text('im-service', 'Temporal task queue.', 'a name'),
  IM_MAX_IN_FLIGHT: integer(
    5_000,
    1,
    1_000_000,
    'Messages a server process holds at once; more Route calls are RESOURCE_EXHAUSTED, streams pause.',
  ),
  IM_STREAM_IN_FLIGHT: integer(
    1_000,
    1,
    1_000_000,
    'Unanswered messages of a stream at which it is read no further.',
  ),
  IM_PUSH_DEADLINE_MS: integer(500, 10, 10_000, 'How long a gateway may take for a push.'),
  IM_KAFKA_DEADLINE_MS: integer(
    1_000,
    50,
    30_000,
    'How long Kafka may take for an append before the message goes straight to MySQL.',
  ),
  IM_MYSQL_DEADLINE_MS: integer(
    2_000,
    50,
    30_000,
    'How long a MySQL statement of the message path may take.',
  ),
  IM_REDIS_DEADLINE_MS: integer(500, 10, 10_000, 'How long a Redis command may take.'),
  IM_ETCD_DEADLINE_MS: integer(300, 10, 10_000, "How long etcd may take for one user's presence."),
  IM_USER_SERVICE_DEADLINE_MS: integer(500, 10, 10_000, 'How long the user service may take.'),
  IM_BREAKER_FAILURES: integer(
    3,
    1,
    1_000,
    "Failed pushes in a row that open a gateway's circuit breaker.",
  ),
  IM_BREAKER_OPEN_MS: integer(
    2_000,
    10,
    600_000,
    'How long an open breaker refuses before it lets one push try.',
  ),
  IM_PRESENCE_CACHE_MAX: integer(
    200_000,
    100,
    10_000_000,
    'Users a process remembers the presence of.',
  ),
  IM_USER_CACHE_MAX: integer(200_000, 100, 10_000_000, 'Users a process remembers to exist.'),
  IM_USER_CACHE_TTL_S: integer(600, 1, 86_400, 'How long a user is remembered to exist.'),
  GROUP_FANOUT_MAX: integer(
    2_000,
    1,
    1_000_000,
    'Members from which a group is large: no row for each absent member, each reads from a position.',
  ),
  IM_GROUP_CACHE_MEMBERS: integer(
    500_000,
    1_000,
    20_000_000,
    'Group members a process remembers, of all groups together.',
  ),
  IM_GROUP_CACHE_TTL_S: integer(
    60,
    1,
    86_400,
    'How old known group members may be before they are read anew in the background.',
  ),
  ...KEEPING_SETTINGS,
  IM_WORD_LISTS_DIR: setting({
    schema: z.string().min(1).optional(),
    fallback: undefined,
    meaning: 'Folder of word lists (`NAME.txt`), besides those in the table `word_lists`.',
    allowed: 'a folder',
  }),
  IM_WORD_LISTS_INTERVAL_MS: integer(
    2_000,
    50,
    600_000,
    'How often changed word lists are looked for; a change counts when two looks see the same.',
  ),
  ENCRYPTION: oneOf(
    ['on', 'off'],
    'off',
    'Whether new messages are stored encrypted; those stored before stay readable either way.',
  ),
  IM_MASTER_KEYS: setting({
    schema: z.string().min(1).optional(),
    fallback: undefined,
    meaning: 'Master keys that wrap the data keys of users; the first wraps new ones.',
    allowed: '`ID:KEY` of 32 bytes in base64, several with commas between',
    secret: true,
  }),
  IM_MASTER_KEYS_FILE: setting({
    schema: z.string().min(1).optional(),
    fallback: undefined,
    meaning: 'File with the master keys, one a line; it goes before IM_MASTER_KEYS.',
    allowed: 'a file',
  }),
  IM_USER_KEY_DAYS: integer(90, 1, 3_650, "How long a user's data key is used for new messages."),
  IM_KEY_CACHE_MAX: integer(100_000, 1, 10_000_000, 'Data keys a process keeps unwrapped.'),
  IM_KEY_CACHE_TTL_S: integer(600, 1, 86_400, 'How long a process keeps a data key unwrapped.'),
  IM_KEY_DEADLINE_MS: integer(
    2_000,
    50,
    30_000,
    'How long data keys are asked for, with retries, before a message is refused.',
  ),
  IM_EXPORT_TTL_H: integer(72, 1, 720, "How long the export of a user's data can be fetched."),
  IM_SHUTDOWN_GRACE_MS: integer(
    10_000,
    100,
    600_000,
    'How long a process finishes what is in flight after SIGTERM.',
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;
export type Settings = { [K in SettingName]: z.output<(typeof SETTINGS)[K]['schema']> };

/** Settings whose default moves with PORT_OFFSET. */
export const SHIFTED: readonly SettingName[] = [
  'GRPC_PORT',
  'HTTP_PORT',
  'IM_WORKER_HTTP_PORT',
  'MYSQL_URL',
  'REDIS_URL',
  'KAFKA_BROKERS',
  'ETCD_ENDPOINTS',
  'TEMPORAL_ADDRESS',
  'USER_SERVICE_ADDRESS',
];
