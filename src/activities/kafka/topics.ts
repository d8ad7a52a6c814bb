/** The topics of the service, made at start when they are missing. */
import type { Admin, ITopicConfig, Kafka } from 'kafkajs';
import type { Config } from '../../config';
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import { withDeadline } from '../deadline';
import { sleep } from '../sleep';

export const TOPICS = {
  offline: 'offline_msg',
  delivered: 'private_msg',
  group: 'group_msg',
  readReceipts: 'read_receipt_events',
  membership: 'membership_change',
} as const;

/**
 * Topics whose records may be stored in any order: a delivered message has its sequence number with it,
 * and what two records say of one is united.
 */
export const UNORDERED: ReadonlySet<string> = new Set([TOPICS.delivered]);

const HOUR_MS = 60 * 60 * 1000;
const WEEK_MS = 7 * 24 * HOUR_MS;
/** Of all records that one request has for one partition; Kafka's own default, whatever a broker has. */
export const MAX_MESSAGE_BYTES = 1_048_588;
/** Production's counts where no setting names them (contracts.md). */
const RECEIPT_PARTITIONS = 32;
const MEMBERSHIP_PARTITIONS = 16;
/** Pause between attempts while Kafka is away or elects leaders, ms. */
const RETRY_MS = 500;

export interface TopicSpec {
  readonly topic: string;
  readonly partitions: number;
  readonly retentionMs: number;
}

/** Where records of a topic go that cannot be handled. */
export function deadLetterTopic(topic: string): string {
  return `${topic}.dlq`;
}

/** Every topic the service needs, as it is made when it is missing. */
export function topicSpecs(
  config: Pick<Config, 'IM_KAFKA_PARTITIONS_OFFLINE' | 'IM_KAFKA_PARTITIONS_GROUP'>,
): TopicSpec[] {
  const mailbox = { partitions: config.IM_KAFKA_PARTITIONS_OFFLINE, retentionMs: WEEK_MS };
  const group = { partitions: config.IM_KAFKA_PARTITIONS_GROUP, retentionMs: HOUR_MS };
  const receipts = { partitions: RECEIPT_PARTITIONS, retentionMs: HOUR_MS };
  const membership = { partitions: MEMBERSHIP_PARTITIONS, retentionMs: HOUR_MS };
  // Few records, read by people: one partition, and a week to look.
  const deadLetters = { partitions: 1, retentionMs: WEEK_MS };
  const consumed = [TOPICS.offline, TOPICS.delivered, TOPICS.group, TOPICS.membership];
  return [
    { topic: TOPICS.offline, ...mailbox },
    { topic: TOPICS.delivered, ...mailbox },
    { topic: TOPICS.group, ...group },
    { topic: TOPICS.readReceipts, ...receipts },
    { topic: TOPICS.membership, ...membership },
    ...consumed.map((topic) => ({ topic: deadLetterTopic(topic), ...deadLetters })),
  ];
}

/**
 * Makes the topics that are missing; any number of processes may do so at once. Resolves, once each
 * partition has a leader, to the partition count of each topic, which is another than asked for when
 * someone made the topic before. Rejects after `deadlineMs`, with what was wrong last.
 */
export async function ensureTopics(
  kafka: Kafka,
  specs: readonly TopicSpec[],
  options: { readonly replication: number; readonly deadlineMs: number; readonly log: Logger },
): Promise<ReadonlyMap<string, number>> {
  const end = Date.now() + options.deadlineMs;
  for (;;) {
    const left = Math.max(end - Date.now(), 1);
    const admin = kafka.admin();
    try {
      return await withDeadline(ensureOnce(admin, specs, options.replication), left, 'topics');
    } catch (error) {
      if (Date.now() + RETRY_MS > end) throw error;
      options.log.warn({ err: messageOf(error) }, 'topics are not ready, trying again');
    } finally {
      await admin.disconnect();
    }
    await sleep(RETRY_MS);
  }
}

async function ensureOnce(
  admin: Admin,
  specs: readonly TopicSpec[],
  replication: number,
): Promise<ReadonlyMap<string, number>> {
  await admin.connect();
  const present = new Set(await admin.listTopics());
  const missing = specs.filter(({ topic }) => !present.has(topic));
  if (missing.length > 0) {
    // Those another process has made meanwhile are no error; waiting for leaders is ours, below.
    const topics = missing.map((spec) => toConfig(spec, replication));
    await admin.createTopics({ topics, waitForLeaders: false });
  }
  const { topics } = await admin.fetchTopicMetadata({ topics: specs.map(({ topic }) => topic) });
  for (const { name, partitions } of topics) {
    if (partitions.length === 0 || partitions.some(({ leader }) => leader < 0)) {
      throw new Error(`${name} has no leader yet`);
    }
  }
  return new Map(topics.map(({ name, partitions }) => [name, partitions.length]));
}

function toConfig(spec: TopicSpec, replicationFactor: number): ITopicConfig {
  const entries = {
    'retention.ms': String(spec.retentionMs),
    'max.message.bytes': String(MAX_MESSAGE_BYTES),
    // Two in-sync replicas where there are enough (contracts.md).
    'min.insync.replicas': replicationFactor >= 3 ? '2' : '1',
  };
  return {
    topic: spec.topic,
    numPartitions: spec.partitions,
    replicationFactor,
    configEntries: Object.entries(entries).map(([name, value]) => ({ name, value })),
  };
}
