/** The parts that server and worker have in common, built from the configuration. */
import { join } from 'node:path';
import { Presence } from './activities/etcd/presence';
import { Gateways } from './activities/gateway/gateways';
import { Pusher } from './activities/gateway/pusher';
import { createKafka } from './activities/kafka/client';
import { KafkaHealth } from './activities/kafka/health';
import { History } from './activities/kafka/history';
import { BatchingProducer } from './activities/kafka/producer';
import { TOPICS, UNORDERED } from './activities/kafka/topics';
import { Ceilings } from './activities/mysql/ceilings';
import { Database } from './activities/mysql/database';
import { ErasedMessages } from './activities/mysql/erased-messages';
import { GdprJobs } from './activities/mysql/gdpr-jobs';
import { ErasedUsers } from './activities/mysql/erased-users';
import { generationOf } from './activities/mysql/generations';
import { GroupReaders } from './activities/mysql/group-readers';
import { GroupUnread } from './activities/mysql/group-unread';
import { Holds } from './activities/mysql/holds';
import { Inbox } from './activities/mysql/inbox';
import { LogDraws } from './activities/mysql/log-draws';
import { Mailbox } from './activities/mysql/mailbox';
import { MessageRemoval } from './activities/mysql/message-removal';
import { MessageStore } from './activities/mysql/message-store';
import { prepareSchema } from './activities/mysql/schema';
import { TableLists } from './activities/mysql/table-lists';
import { RedisConnection } from './activities/redis/connection';
import { InboxCounts } from './activities/redis/inbox-counts';
import { MessageStates } from './activities/redis/message-states';
import { RoutingTickets } from './activities/redis/routing-tickets';
import { UserServiceClient } from './activities/user-service/client';
import { Groups } from './activities/user-service/groups';
import { Users } from './activities/user-service/users';
import { FolderLists } from './activities/word-lists/folder-lists';
import type { ListSource } from './activities/word-lists/list-source';
import { WordLists } from './activities/word-lists/word-lists';
import type { Config } from './config';
import { createEncryption } from './encryption';
import { createMemberCacheConsumer } from './consumers/member-cache';
import { createLogger } from './logger';
import type { Logger } from './logger';
import { createMetrics } from './metrics';
import type { Metrics } from './metrics';
import { projectRoot } from './paths';
import { createContentSteps } from './routing/content';
import type { ContentSteps } from './routing/content';
import { ExportKeys } from './routing/export-keys';
import { GroupRouter } from './routing/group-message';
import { OfflineStore } from './routing/offline-store';
import { PrivateRouter } from './routing/private-message';
import { Recall } from './routing/recall';
import { LEASE_MS, Reservations } from './routing/reservation';
import { SealedTickets } from './routing/sealed-tickets';
import { Temporal } from './temporal/client';

/** Topics that messages are appended to. */
export const WRITTEN_TOPICS = [TOPICS.offline, TOPICS.delivered, TOPICS.group];
const DAY_MS = 24 * 60 * 60 * 1000;
const TEMPORAL_PING_MS = 1_000;
/** For a request to Kafka by a consumer, whom nobody waits for, ms. */
const CONSUMER_DEADLINE_MS = 5_000;

export type Parts = Awaited<ReturnType<typeof openParts>>;

/** Migrates the schema and opens everything; nothing but MySQL has to be there yet. */
// Spelling the type out would name every part twice.
// eslint-disable-next-line @typescript-eslint/explicit-module-boundary-types
export async function openParts(config: Config, name: string) {
  const log = createLogger(config.LOG_LEVEL, name);
  const metrics = createMetrics();
  await prepareSchema({
    url: config.MYSQL_URL,
    owner: config.MYSQL_OWNER,
    folder: join(projectRoot(), 'migrations'),
    log,
  });

  const database = Database.open({
    url: config.MYSQL_URL,
    connections: config.IM_MYSQL_POOL,
    deadlineMs: config.IM_MYSQL_DEADLINE_MS,
  });
  const lists = await openWordLists(config, database, { metrics, log });
  const erased = new ErasedUsers({ db: database, now: Date.now, log });
  await erased.start();
  const encryption = createEncryption(config, database, { metrics, log, erased });
  erased.onErased((userId) => encryption.keys.forget(userId));
  const redis = new RedisConnection({
    url: config.REDIS_URL,
    deadlineMs: config.IM_REDIS_DEADLINE_MS,
    log,
    generationOf: (instance, prepare) => generationOf(database, instance, prepare),
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
    unordered: UNORDERED,
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
  const userService = new UserServiceClient({
    address: config.USER_SERVICE_ADDRESS,
    deadlineMs: config.IM_USER_SERVICE_DEADLINE_MS,
  });
  const users = new Users({
    client: userService,
    cacheMax: config.IM_USER_CACHE_MAX,
    cacheTtlMs: config.IM_USER_CACHE_TTL_S * 1000,
    erased,
    log,
    metrics,
    now: Date.now,
  });
  const groups = new Groups({
    client: userService,
    fanoutMax: config.GROUP_FANOUT_MAX,
    maxMembers: config.IM_GROUP_CACHE_MEMBERS,
    refreshMs: config.IM_GROUP_CACHE_TTL_S * 1000,
    now: Date.now,
    log,
    metrics,
  });
  const consumerKafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: CONSUMER_DEADLINE_MS,
    log,
  });
  const memberCache = createMemberCacheConsumer({
    kafka: consumerKafka,
    clientId: config.IM_KAFKA_CLIENT_ID,
    groups,
    log,
    metrics,
  });
  const temporal = new Temporal({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
  });
  const history = new History({ producer, metrics, log });
  const ttlMs = config.IM_OFFLINE_TTL_DAYS * DAY_MS;
  const inbox = new Inbox(database);
  const routingTickets = new RoutingTickets(redis);
  const readers = new GroupReaders(database, { ttlMs, now: Date.now });
  const groupUnread = new GroupUnread(database, { ttlMs, now: Date.now });

  return {
    config,
    log,
    metrics,
    database,
    erased,
    encryption,
    /** What a message goes through before it is stored and pushed. */
    contentSteps: createContentSteps({
      lists,
      keys: config.ENCRYPTION === 'on' ? encryption.content : undefined,
      metrics,
      log,
    }),
    messages: new MessageStore(database, { ttlMs }),
    holds: new Holds(database, Date.now),
    inbox,
    readers,
    groupUnread,
    draws: new LogDraws(database, groupUnread, { ttlMs }),
    mailbox: new Mailbox(inbox, readers, groupUnread),
    gdprJobs: new GdprJobs(database, Date.now),
    erasedMessages: new ErasedMessages(database, Date.now),
    removal: new MessageRemoval(database),
    exportKeys: new ExportKeys({ ...encryption, sealing: config.ENCRYPTION === 'on' }),
    redis,
    states: new MessageStates(redis, LEASE_MS),
    counts: new InboxCounts(redis),
    routingTickets,
    tickets: new SealedTickets({
      tickets: routingTickets,
      keys: encryption.content,
      sealing: config.ENCRYPTION === 'on',
    }),
    kafka,
    /** With patience: nobody waits for a consumer. */
    consumerKafka,
    kafkaHealth,
    producer,
    history,
    presence,
    gateways,
    pusher: new Pusher({ gateways, deadlineMs: config.IM_PUSH_DEADLINE_MS, log, metrics }),
    users,
    groups,
    /** Keeps `groups` true; to be started by each process. */
    memberCache,
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
      lists.close();
      await memberCache.close();
      await history.close();
      await producer.close();
      await kafkaHealth.close();
      gateways.close();
      userService.close();
      await presence.close();
      await temporal.close();
      await redis.close();
      await erased.close();
      await database.close();
      log.info('stopped');
    },
  };
}

async function openWordLists(
  config: Config,
  database: Database,
  { metrics, log }: { metrics: Metrics; log: Logger },
): Promise<WordLists> {
  const folder = config.IM_WORD_LISTS_DIR;
  const sources: ListSource[] = [new TableLists(database)];
  if (folder !== undefined) sources.push(new FolderLists(folder));
  try {
    const intervalMs = config.IM_WORD_LISTS_INTERVAL_MS;
    return await WordLists.open({ sources, intervalMs, metrics, log });
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Shared by all routers: ids are reserved, and numbers given, in one place. */
export function createReservations(parts: Parts): Reservations {
  const { database, metrics } = parts;
  return new Reservations({ ...parts, ceilings: new Ceilings(database, metrics) });
}

/** The way of private messages through the parts. */
export function createPrivateRouter(
  parts: Parts,
  reservations: Reservations,
  content: ContentSteps = parts.contentSteps,
): PrivateRouter {
  const offline = new OfflineStore({ ...parts, quota: parts.config.IM_OFFLINE_QUOTA });
  const recall = new Recall({
    ...parts,
    erased: parts.erasedMessages,
    keys: parts.encryption.content,
  });
  return new PrivateRouter({ ...parts, content, reservations, recall, offline });
}

/** The way of group messages through the parts. */
export function createGroupRouter(
  parts: Parts,
  reservations: Reservations,
  content: ContentSteps = parts.contentSteps,
): GroupRouter {
  const recall = new Recall({
    ...parts,
    erased: parts.erasedMessages,
    keys: parts.encryption.content,
  });
  return new GroupRouter({ ...parts, content, reservations, recall });
}
