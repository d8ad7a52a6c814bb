/** The worker process: consumers, the presence watch, and Temporal's workflows and activities. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkerOptions } from '@temporalio/worker';
import { Presence } from './activities/etcd/presence';
import { Gateways } from './activities/gateway/gateways';
import { Pusher } from './activities/gateway/pusher';
import { ReceiptPusher } from './activities/gateway/receipt-pusher';
import { createKafka } from './activities/kafka/client';
import { KafkaHealth } from './activities/kafka/health';
import { BatchingProducer } from './activities/kafka/producer';
import { ensureTopics, partitionOf, TOPICS, topicSpecs } from './activities/kafka/topics';
import { Database } from './activities/mysql/database';
import { generationOf } from './activities/mysql/generations';
import { Inbox } from './activities/mysql/inbox';
import { MessageStore } from './activities/mysql/message-store';
import { migrate } from './activities/mysql/migrate';
import { ReceiptLog } from './activities/mysql/receipt-log';
import { RedisConnection } from './activities/redis/connection';
import { InboxCounts } from './activities/redis/inbox-counts';
import { MessageStates } from './activities/redis/message-states';
import { WakeClaims } from './activities/redis/wake-claims';
import { listenHttp } from './api/http-app';
import type { Config } from './config';
import { createDeliveredConsumer } from './consumers/delivered-messages';
import { DeliveryTrigger } from './consumers/delivery-trigger';
import { createOfflineConsumer } from './consumers/offline-messages';
import { createLogger } from './logger';
import { createMetrics } from './metrics';
import { projectRoot } from './paths';
import { runProcess } from './process';
import { InboxDelivery } from './routing/deliver-inbox';
import { ReceiptPublisher } from './routing/publish-receipts';
import { createActivities } from './temporal/activities';
import { Temporal } from './temporal/client';
import { DeliveryRequests } from './temporal/delivery-requests';
import { ReceiptWakes } from './temporal/receipt-wakes';
import { installTemporalRuntime } from './temporal/runtime';
import { ensureSweepSchedule } from './temporal/schedules';
import { registerSearchAttributes } from './temporal/search-attributes';
import { WorkerRunner } from './temporal/worker-runner';

const DAY_MS = 24 * 60 * 60 * 1000;
/** How long Kafka may be away, or elect leaders, when a worker starts, ms. */
const TOPICS_DEADLINE_MS = 60_000;
/** For a request to Kafka by a consumer, whom nobody waits for, ms. */
const CONSUMER_DEADLINE_MS = 5_000;
const TEMPORAL_PING_MS = 1_000;

export interface RunningWorker {
  readonly httpPort: number;
  /** Finishes what is in flight, commits, disconnects. */
  close(): Promise<void>;
}

export type WorkflowCode = Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;

/** Builds the worker out of its parts and starts them. `workflows` is there for tests, which bundle once. */
export async function startWorker(
  config: Config,
  workflows: WorkflowCode = workflowCode(),
): Promise<RunningWorker> {
  const log = createLogger(config.LOG_LEVEL, 'worker');
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
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: CONSUMER_DEADLINE_MS,
    log,
  });
  const kafkaHealth = new KafkaHealth(kafka);
  const partitions = await ensureTopics(kafka, topicSpecs(config), {
    replication: config.IM_KAFKA_REPLICATION,
    deadlineMs: TOPICS_DEADLINE_MS,
    log,
  });
  const producer = new BatchingProducer({
    kafka,
    deadlineMs: CONSUMER_DEADLINE_MS,
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
  const temporal = new Temporal({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
  });
  const taskQueue = config.IM_TEMPORAL_TASK_QUEUE;
  const requests = new DeliveryRequests({ temporal, taskQueue, log, metrics });

  const offlinePartitions = partitions.get(TOPICS.offline) ?? 0;
  const trigger = new DeliveryTrigger({
    presence,
    inbox,
    requests,
    owns: (userId) => offline.assigned.has(partitionOf(TOPICS.offline, userId, offlinePartitions)),
    metrics,
    log,
  });
  // All partitions of a fetch are handled at once: their records share transactions.
  const consuming = { kafka, deadLetters: producer, messages, metrics, log };
  const offline = createOfflineConsumer({
    ...consuming,
    groupId: `${config.IM_KAFKA_CLIENT_ID}-offline`,
    concurrency: offlinePartitions,
    onStored: (userIds) => trigger.stored(userIds),
  });
  const delivered = createDeliveredConsumer({
    ...consuming,
    groupId: `${config.IM_KAFKA_CLIENT_ID}-delivered`,
    concurrency: partitions.get(TOPICS.delivered) ?? 0,
  });

  const delivery = new InboxDelivery({
    inbox,
    presence,
    pusher: new Pusher({ gateways, deadlineMs: config.IM_PUSH_DEADLINE_MS, log, metrics }),
    states: new MessageStates(redis),
    counts: new InboxCounts(redis),
    now: Date.now,
    metrics,
    log,
  });
  const receiptLog = new ReceiptLog(database);
  const wakes = new ReceiptWakes({
    temporal,
    taskQueue,
    claims: new WakeClaims(redis),
    metrics,
    log,
  });
  const receipts = new ReceiptPublisher({
    log: receiptLog,
    producer,
    presence,
    pusher: new ReceiptPusher({ gateways, deadlineMs: config.IM_PUSH_DEADLINE_MS, metrics, log }),
    now: Date.now,
    metrics,
  });
  const receiptSweep = {
    log: receiptLog,
    wake: (senderId: string) => wakes.wake(senderId),
    now: Date.now,
    logger: log,
  };
  const runner = new WorkerRunner({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
    taskQueue,
    workflows,
    activities: createActivities({
      delivery,
      inbox,
      presence,
      requests,
      receipts,
      receiptSweep,
      now: Date.now,
      log,
    }),
    prepare: async () => {
      await registerSearchAttributes(temporal, config.TEMPORAL_NAMESPACE);
      await ensureSweepSchedule(temporal, { taskQueue, intervalS: config.IM_SWEEP_INTERVAL_S });
    },
    graceMs: config.IM_SHUTDOWN_GRACE_MS,
    log,
    metrics,
  });

  offline.start();
  delivered.start();
  runner.start();
  const http = await listenHttp(config.IM_BIND_ADDRESS, config.IM_WORKER_HTTP_PORT, {
    checks: {
      mysql: () => database.ping(),
      redis: () => redis.ping(),
      kafka: () => kafkaHealth.ping(),
      etcd: () => presence.ping(),
      temporal: () => temporal.ping(TEMPORAL_PING_MS),
      temporal_worker: () => runner.check(),
      offline_consumer: () => offline.check(),
      delivered_consumer: () => delivered.check(),
    },
    metrics,
    log,
  });
  log.info({ http: http.port }, 'worker runs');

  return {
    httpPort: http.port,
    close: async () => {
      await http.close(config.IM_SHUTDOWN_GRACE_MS);
      await Promise.all([offline.close(), delivered.close(), runner.close()]);
      await trigger.close();
      await requests.close();
      await wakes.close();
      await producer.close();
      await kafkaHealth.close();
      gateways.close();
      await presence.close();
      await temporal.close();
      await redis.close();
      await database.close();
      log.info('worker stopped');
    },
  };
}

/** The bundle that the build made, or the sources, bundled at start. */
function workflowCode(): WorkflowCode {
  const codePath = join(__dirname, '..', 'workflow-bundle.js');
  if (existsSync(codePath)) return { workflowBundle: { codePath } };
  return { workflowsPath: require.resolve('./workflows') };
}

if (require.main === module) {
  runProcess('worker', (config) => {
    installTemporalRuntime(createLogger(config.LOG_LEVEL, 'worker'));
    return startWorker(config);
  });
}
