/** The parts that server and worker have in common, built from the configuration. */
import { join } from 'node:path';
import { Presence } from './activities/etcd/presence';
import { Gateways } from './activities/gateway/gateways';
import { Pusher } from './activities/gateway/pusher';
import { createKafka } from './activities/kafka/client';
import { KafkaHealth } from './activities/kafka/health';
import { History } from './activities/kafka/history';
import { BatchingProducer } from './activities/kafka/producer';
import { TOPICS } from './activities/kafka/topics';
import { Ceilings } from './activities/mysql/ceilings';
import { Database } from './activities/mysql/database';
import { generationOf } from './activities/mysql/generations';
import { Inbox } from './activities/mysql/inbox';
import { MessageStore } from './activities/mysql/message-store';
import { migrate } from './activities/mysql/migrate';
import { RedisConnection } from './activities/redis/connection';
import { InboxCounts } from './activities/redis/inbox-counts';
import { MessageStates } from './activities/redis/message-states';
import { RoutingTickets } from './activities/redis/routing-tickets';
import { Users } from './activities/user-service/users';
import type { Config } from './config';
import { createLogger } from './logger';
import { createMetrics } from './metrics';
import { projectRoot } from './paths';
import type { ContentSteps } from './routing/content';
import { OfflineStore } from './routing/offline-store';
import { PrivateRouter } from './routing/private-message';
import { Recall } from './routing/recall';
import { Reservations } from './routing/reservation';
import { Temporal } from './temporal/client';

/** Topics that messages are appended to. */
export const WRITTEN_TOPICS = [TOPICS.offline, TOPICS.delivered, TOPICS.group];
const DAY_MS = 24 * 60 * 60 * 1000;
const TEMPORAL_PING_MS = 1_000;

export type Parts = Awaited<ReturnType<typeof openParts>>;

/** Migrates the schema and opens everything; nothing but MySQL has to be there yet. */
// Spelling the type out would name every part twice.
// eslint-disable-next-line @typescript-eslint/explicit-module-boundary-types
export async function openParts(config: Config, name: string) {
  const log = createLogger(config.LOG_LEVEL, name);
  const metrics = createMetrics();
  await migrate(config.MYSQL_URL, join(projectRoot(), 'migrations'));

  const database = Database.open({
    url: config.MYSQL_URL,
    connections: config.IM_MYSQL_POOL,
    deadlineMs: config.IM_MYSQL_DEADLINE_MS,
  });
  const redis = new RedisConnection({
    url: config.REDIS_URL,
    deadlineMs: config.IM_REDIS_DEADLINE_MS,
    log,
    generationOf: (instance) => generationOf(database, instance),
  });
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: config.IM_KAFKA_DEADLINE_MS,
    log,
  });
  const kafkaHealth = new KafkaHealth(kafka, WRITTEN_TOPICS);
  const producer = new BatchingProducer({
    kafka,
    deadlineMs: config.IM_KAFKA_DEADLINE_MS,
    log,
    metrics,
  });
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
  const history = new History({ producer, metrics, log });

  return {
    config,
    log,
    metrics,
    database,
    messages: new MessageStore(database, { ttlMs: config.IM_OFFLINE_TTL_DAYS * DAY_MS }),
    inbox: new Inbox(database),
    redis,
    states: new MessageStates(redis),
    counts: new InboxCounts(redis),
    tickets: new RoutingTickets(redis),
    kafka,
    kafkaHealth,
    producer,
    history,
    presence,
    gateways,
    pusher: new Pusher({ gateways, deadlineMs: config.IM_PUSH_DEADLINE_MS, log, metrics }),
    users,
    temporal,
    /** For `/ready`: the dependencies that both processes have. */
    checks: {
      mysql: () => database.ping(),
      redis: () => redis.ping(),
      kafka: () => kafkaHealth.ping(),
      etcd: () => presence.ping(),
      temporal: () => temporal.ping(TEMPORAL_PING_MS),
    },
    /** Flushes and disconnects; whoever uses the parts has ended before. */
    close: async (): Promise<void> => {
      await history.close();
      await producer.close();
      await kafkaHealth.close();
      gateways.close();
      users.close();
      await presence.close();
      await temporal.close();
      await redis.close();
      await database.close();
      log.info('stopped');
    },
  };
}

/** The way of private messages through the parts. */
export function createPrivateRouter(parts: Parts, content: ContentSteps): PrivateRouter {
  const { states, database, metrics, log } = parts;
  return new PrivateRouter({
    ...parts,
    content,
    reservations: new Reservations({
      states,
      ceilings: new Ceilings(database, metrics),
      metrics,
      log,
    }),
    recall: new Recall(parts),
    offline: new OfflineStore({ ...parts, quota: parts.config.IM_OFFLINE_QUOTA }),
  });
}
