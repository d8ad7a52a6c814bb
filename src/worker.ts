/** The worker process: consumers, the presence watch, and Temporal's workflows and activities. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { WorkerOptions } from '@temporalio/worker';
import { consumerPositions } from './activities/kafka/consumer-positions';
import { withDeadline } from './activities/deadline';
import { createKafka } from './activities/kafka/client';
import { PartitionReader } from './activities/kafka/partition-reader';
import { BatchingProducer } from './activities/kafka/producer';
import { ReceiptEvents } from './activities/kafka/receipt-events';
import { partitionOf } from './activities/kafka/partitioner';
import { ensureTopics, TOPICS, topicSpecs } from './activities/kafka/topics';
import { FanoutBacklog } from './activities/mysql/fanout-backlog';
import { GroupDoubts } from './activities/mysql/group-doubts';
import { GroupLog } from './activities/mysql/group-log';
import { GroupStays } from './activities/mysql/group-stays';
import { ReceiptPusher } from './activities/gateway/receipt-pusher';
import { ReceiptLog } from './activities/mysql/receipt-log';
import { WakeClaims } from './activities/redis/wake-claims';
import { ReceiptPublisher } from './routing/publish-receipts';
import { ReceiptWakes } from './temporal/receipt-wakes';
import { listenHttp } from './api/http-app';
import type { Config } from './config';
import { createDeliveredConsumer } from './consumers/delivered-messages';
import { DeliveryTrigger } from './consumers/delivery-trigger';
import { createGroupConsumer } from './consumers/group-messages';
import { createMembershipConsumer } from './consumers/membership-changes';
import { createOfflineConsumer } from './consumers/offline-messages';
import { messageOf } from './domain/errors';
import { createLogger } from './logger';
import type { Logger } from './logger';
import { createPrivateRouter, createReservations, openParts } from './parts';
import { runProcess } from './process';
import type { ContentSteps } from './routing/content';
import { DeadLetters } from './routing/dead-letters';
import { GroupFanout } from './routing/group-fanout';
import { LargeGroups } from './routing/large-groups';
import { MembershipWatch } from './routing/membership-watch';
import { DeliveryRequests } from './temporal/delivery-requests';
import { installTemporalRuntime } from './temporal/runtime';
import { ensureRetentionSchedule, ensureSweepSchedule, sweepSoon } from './temporal/schedules';
import { registerSearchAttributes } from './temporal/search-attributes';
import { WorkerRunner } from './temporal/worker-runner';
import { createWorkerActivities } from './worker-activities';

/**
 * How long records of a busy topic gather before they are fetched, ms: a transaction costs by its
 * statements more than by its records. The first records after a pause are stored at once.
 */
const GATHER_MS = 200;
/** How long Kafka may be away, or elect leaders, when a worker starts, ms. */
const TOPICS_DEADLINE_MS = 60_000;
/** For asking Kafka how far membership changes were read, which nobody waits for, ms. */
const POSITIONS_DEADLINE_MS = 5_000;
/** For one append of receipts, ms: nobody waits for them, and one that was given up has to be looked for. */
const RECEIPT_APPEND_MS = 5_000;

export interface RunningWorker {
  readonly httpPort: number;
  /** Finishes what is in flight, commits, disconnects. */
  close(): Promise<void>;
}

export type WorkflowCode = Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'>;

/** Builds the worker out of its parts and starts them. `workflows` is there for tests, which run from sources. */
export async function startWorker(
  config: Config,
  workflows: WorkflowCode = workflowCode(),
  content?: ContentSteps,
): Promise<RunningWorker> {
  const parts = await openParts(config, 'worker');
  const { log, metrics, kafka, producer, database, presence, mailbox, temporal } = parts;
  const partitions = await ensureTopics(kafka, topicSpecs(config), {
    replication: config.IM_KAFKA_REPLICATION,
    deadlineMs: TOPICS_DEADLINE_MS,
    log,
  });
  const taskQueue = config.IM_TEMPORAL_TASK_QUEUE;
  const requests = new DeliveryRequests({ temporal, taskQueue, log, metrics });

  const offlinePartitions = partitions.get(TOPICS.offline) ?? 0;
  const trigger = new DeliveryTrigger({
    presence,
    mailbox,
    requests,
    now: Date.now,
    owns: (userId) => offline.answersFor(partitionOf(userId, offlinePartitions)),
    metrics,
    log,
  });
  // All partitions of a fetch are handled at once: their records share transactions.
  const consuming = {
    kafka: parts.consumerKafka,
    deadLetters: new DeadLetters({
      producer,
      keys: config.ENCRYPTION === 'on' ? parts.encryption.content : undefined,
    }),
    messages: parts.messages,
    metrics,
    log,
  };
  const storing = { ...consuming, commitsApartMs: GATHER_MS };
  const offline = createOfflineConsumer({
    ...storing,
    groupId: `${config.IM_KAFKA_CLIENT_ID}-offline`,
    concurrency: offlinePartitions,
    onStored: (userIds) => trigger.stored(userIds),
    // Users may have appeared for whom nobody answered while the partitions changed hands.
    onResumed: () => void sweepSoon(temporal, log),
  });
  const delivered = createDeliveredConsumer({
    ...storing,
    groupId: `${config.IM_KAFKA_CLIENT_ID}-delivered`,
    concurrency: partitions.get(TOPICS.delivered) ?? 0,
  });

  const onAwoken = (userIds: Iterable<string>): void => trigger.awoken(userIds);
  const large = new LargeGroups({
    ...parts,
    stays: new GroupStays(database),
    onAwoken,
    now: Date.now,
  });
  const backlog = new FanoutBacklog(database);
  const fanout = new GroupFanout({
    ...parts,
    large,
    groupLog: new GroupLog(database),
    backlog,
    content: content ?? parts.contentSteps,
    onStored: (userIds) => trigger.stored(userIds),
    onAwoken,
    now: Date.now,
  });
  const group = createGroupConsumer({
    ...storing,
    groupId: `${config.IM_KAFKA_CLIENT_ID}-group`,
    concurrency: partitions.get(TOPICS.group) ?? 0,
    fanout,
  });
  const membershipGroup = `${config.IM_KAFKA_CLIENT_ID}-membership`;
  const membership = createMembershipConsumer({
    ...consuming,
    groupId: membershipGroup,
    concurrency: partitions.get(TOPICS.membership) ?? 0,
    large,
  });
  const membershipWatch = new MembershipWatch({
    positions: () =>
      consumerPositions(parts.consumerKafka, {
        topic: TOPICS.membership,
        groupId: membershipGroup,
        deadlineMs: POSITIONS_DEADLINE_MS,
      }),
    doubts: new GroupDoubts(database),
    large,
    isOurs: () => membership.assigned.has(0),
    now: Date.now,
    log,
  });

  const receiptLog = new ReceiptLog(parts.database);
  const wakes = new ReceiptWakes({ ...parts, taskQueue, claims: new WakeClaims(parts.redis) });
  const receiptKafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: RECEIPT_APPEND_MS,
    log,
  });
  const receiptProducer = new BatchingProducer({
    kafka: receiptKafka,
    deadlineMs: RECEIPT_APPEND_MS,
    // Sent again, what was only slow would be there twice.
    once: true,
    log,
    metrics,
  });
  await warmUp(receiptProducer, log);
  const receipts = new ReceiptPublisher({
    ...parts,
    receipts: receiptLog,
    producer: receiptProducer,
    events: new ReceiptEvents(new PartitionReader(parts.consumerKafka, config.IM_KAFKA_CLIENT_ID)),
    pusher: new ReceiptPusher({ ...parts, deadlineMs: config.IM_PUSH_DEADLINE_MS }),
    now: Date.now,
  });

  const activities = createWorkerActivities(parts, {
    requests,
    publisher: receipts,
    receipts: receiptLog,
    backlog,
    fanout,
    wakes,
    router: createPrivateRouter(parts, createReservations(parts), content),
  });
  const runner = new WorkerRunner({
    address: config.TEMPORAL_ADDRESS,
    namespace: config.TEMPORAL_NAMESPACE,
    taskQueue,
    workflows,
    activities,
    prepare: async () => {
      await registerSearchAttributes(temporal, config.TEMPORAL_NAMESPACE);
      await ensureSweepSchedule(temporal, { taskQueue, intervalS: config.IM_SWEEP_INTERVAL_S });
      await ensureRetentionSchedule(temporal, {
        taskQueue,
        intervalS: config.IM_RETENTION_INTERVAL_S,
      });
    },
    graceMs: config.IM_SHUTDOWN_GRACE_MS,
    log,
    metrics,
  });

  offline.start();
  delivered.start();
  parts.memberCache.start();
  group.start();
  await membershipWatch.start();
  membership.start();
  runner.start();
  const http = await listenHttp(config.IM_BIND_ADDRESS, config.IM_WORKER_HTTP_PORT, {
    checks: {
      ...parts.checks,
      temporal_worker: () => runner.check(),
      offline_consumer: () => offline.check(),
      delivered_consumer: () => delivered.check(),
      group_consumer: () => group.check(),
      membership_consumer: () => membership.check(),
    },
    metrics,
    log,
  });
  log.info({ http: http.port }, 'worker runs');

  return {
    httpPort: http.port,
    close: async () => {
      await http.close(config.IM_SHUTDOWN_GRACE_MS);
      const running = [offline, delivered, group, membershipWatch, membership, runner];
      await Promise.all(running.map((each) => each.close()));
      await trigger.close();
      await requests.close();
      await wakes.close();
      await receiptProducer.close();
      await parts.close();
    },
  };
}

/** An append that fails only because nothing is connected yet would cost the pause after a failure. */
async function warmUp(producer: BatchingProducer, log: Logger): Promise<void> {
  try {
    await withDeadline(producer.warmUp([TOPICS.readReceipts]), RECEIPT_APPEND_MS, 'warming up');
  } catch (error) {
    log.debug({ err: messageOf(error) }, 'the producer of receipts connects later');
  }
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
