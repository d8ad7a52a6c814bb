/** The server process: gRPC and REST. Stateless; run as many as there are cores and machines. */
import { join } from 'node:path';
import { withDeadline } from './activities/deadline';
import { Presence } from './activities/etcd/presence';
import { Gateways } from './activities/gateway/gateways';
import { Pusher } from './activities/gateway/pusher';
import { createKafka } from './activities/kafka/client';
import { KafkaHealth } from './activities/kafka/health';
import { History } from './activities/kafka/history';
import { BatchingProducer } from './activities/kafka/producer';
import { ensureTopics, TOPICS, topicSpecs } from './activities/kafka/topics';
import { Ceilings } from './activities/mysql/ceilings';
import { Database } from './activities/mysql/database';
import { generationOf } from './activities/mysql/generations';
import { Inbox } from './activities/mysql/inbox';
import { MessageStore } from './activities/mysql/message-store';
import { migrate } from './activities/mysql/migrate';
import { RedisConnection } from './activities/redis/connection';
import { InboxCounts } from './activities/redis/inbox-counts';
import { MessageStates } from './activities/redis/message-states';
import { Users } from './activities/user-service/users';
import { listenGrpc } from './api/grpc-server';
import { listenHttp } from './api/http-app';
import { createImService } from './api/im-service';
import type { Config } from './config';
import { messageOf } from './domain/errors';
import { createLogger } from './logger';
import type { Logger } from './logger';
import { createMetrics } from './metrics';
import { projectRoot } from './paths';
import { runProcess } from './process';
import { createRest } from './rest';
import { plainContent } from './routing/content';
import { findMessageStatus } from './routing/message-status';
import { OfflineStore } from './routing/offline-store';
import { PrivateRouter } from './routing/private-message';
import type { ContentSteps } from './routing/content';
import { Reservations } from './routing/reservation';
import { Temporal } from './temporal/client';

/** How long a start waits for a server it can be without for a while, ms. */
const START_WAIT_MS = 5_000;
/** Registered devices whose gateways a readiness check asks. */
const GATEWAY_SAMPLE = 50;
const WRITTEN_TOPICS = [TOPICS.offline, TOPICS.delivered, TOPICS.group];
const TEMPORAL_PING_MS = 1_000;
const DAY_MS = 24 * 60 * 60 * 1000;

export interface RunningServer {
  readonly grpcPort: number;
  readonly httpPort: number;
  /** Stops accepting, finishes what is in flight, flushes, disconnects. */
  close(): Promise<void>;
}

/** Builds the server out of its parts and listens. `content` is there for tests to replace. */
export async function startServer(
  config: Config,
  content: ContentSteps = plainContent,
): Promise<RunningServer> {
  const log = createLogger(config.LOG_LEVEL, 'server');
  const metrics = createMetrics();
  await migrate(config.MYSQL_URL, join(projectRoot(), 'migrations'));

  const database = Database.open({
    url: config.MYSQL_URL,
    connections: config.IM_MYSQL_POOL,
    deadlineMs: config.IM_MYSQL_DEADLINE_MS,
  });
  const messages = new MessageStore(database, { ttlMs: config.IM_OFFLINE_TTL_DAYS * DAY_MS });
  const inbox = new Inbox(database);
  const redis = new RedisConnection({
    url: config.REDIS_URL,
    deadlineMs: config.IM_REDIS_DEADLINE_MS,
    log,
    generationOf: (instance) => generationOf(database, instance),
  });
  const states = new MessageStates(redis);
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: config.IM_KAFKA_DEADLINE_MS,
    log,
  });
  const kafkaHealth = new KafkaHealth(kafka);
  const producer = new BatchingProducer({
    kafka,
    deadlineMs: config.IM_KAFKA_DEADLINE_MS,
    log,
    metrics,
  });
  const history = new History({ producer, metrics, log });
  const presence = new Presence({
    endpoints: config.ETCD_ENDPOINTS,
    deadlineMs: config.IM_ETCD_DEADLINE_MS,
    cacheMax: config.IM_PRESENCE_CACHE_MAX,
    log,
    metrics,
  });
  const gateways = new Gateways({
    breakerFailures: config.IM_BREAKER_FAILURES,
    breakerOpenMs: config.IM_BREAKER_OPEN_MS,
    metrics,
    now: Date.now,
  });
  const users = new Users({
    address: config.USER_SERVICE_ADDRESS,
    deadlineMs: config.IM_USER_SERVICE_DEADLINE_MS,
    cacheMax: config.IM_USER_CACHE_MAX,
    cacheTtlMs: config.IM_USER_CACHE_TTL_S * 1000,
    log,
    metrics,
    now: Date.now,
  });

  const temporal = new Temporal({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
  });

  const router = new PrivateRouter({
    users,
    reservations: new Reservations({
      states,
      ceilings: new Ceilings(database, metrics),
      metrics,
      log,
    }),
    content,
    presence,
    pusher: new Pusher({ gateways, deadlineMs: config.IM_PUSH_DEADLINE_MS, log, metrics }),
    offline: new OfflineStore({
      producer,
      messages,
      inbox,
      counts: new InboxCounts(redis),
      quota: config.IM_OFFLINE_QUOTA,
      metrics,
      log,
    }),
    history,
    states,
  });

  await startUp('Kafka topics', log, (deadlineMs) =>
    ensureTopics(kafka, topicSpecs(config), {
      replication: config.IM_KAFKA_REPLICATION,
      deadlineMs,
      log,
    }),
  );
  await startUp('Kafka', log, () => producer.warmUp(WRITTEN_TOPICS));
  await startUp('Redis', log, () => redis.whenReady());
  const grpc = await listenGrpc(
    `${config.IM_BIND_ADDRESS}:${config.GRPC_PORT}`,
    createImService({
      routePrivate: (request) => router.route(request),
      messageStatus: (msgId) => findMessageStatus({ states, messages, log }, msgId),
      maxInFlight: config.IM_MAX_IN_FLIGHT,
      metrics,
      log,
    }),
  );
  const rest = await createRest({ config, database, redis, inbox, states, metrics, log });
  const http = await listenHttp(config.IM_BIND_ADDRESS, config.HTTP_PORT, {
    checks: {
      mysql: () => database.ping(),
      redis: () => redis.ping(),
      kafka: () => kafkaHealth.ping(),
      etcd: () => presence.ping(),
      gateway_service: async () =>
        gateways.requireOne(
          await presence.gatewayAddresses(GATEWAY_SAMPLE),
          config.IM_PUSH_DEADLINE_MS,
        ),
      user_service: () => users.ping(),
      temporal: () => temporal.ping(TEMPORAL_PING_MS),
    },
    client: rest.client,
    metrics,
    log,
  });
  log.info({ grpc: grpc.port, http: http.port }, 'server listens');

  return {
    grpcPort: grpc.port,
    httpPort: http.port,
    close: async () => {
      await grpc.close(config.IM_SHUTDOWN_GRACE_MS);
      await http.close(config.IM_SHUTDOWN_GRACE_MS);
      await rest.close();
      await history.close();
      await producer.close();
      await kafkaHealth.close();
      gateways.close();
      users.close();
      await presence.close();
      await temporal.close();
      await redis.close();
      await database.close();
      log.info('server stopped');
    },
  };
}

/** Waits a while for what is nice to have at the first request; without it `/ready` says so. */
async function startUp(
  what: string,
  log: Logger,
  work: (deadlineMs: number) => Promise<unknown>,
): Promise<void> {
  try {
    await withDeadline(work(START_WAIT_MS), START_WAIT_MS, what);
  } catch (error) {
    log.warn({ err: messageOf(error) }, `starting without ${what}`);
  }
}

if (require.main === module) runProcess('server', startServer);
