/** The part of the worker that removes data: what is past its time, messages and users. */
import { TopicRetention } from './activities/kafka/retention';
import { TOPICS } from './activities/kafka/topics';
import { ErasureRows } from './activities/mysql/erasure-rows';
import { ExportBundles } from './activities/mysql/export-bundles';
import { GroupExpiry } from './activities/mysql/group-expiry';
import { RetentionRows } from './activities/mysql/retention-rows';
import { UserTraces } from './activities/redis/user-traces';
import type { EraseActivities } from './domain/erasure';
import type { GdprExpiry } from './domain/gdpr';
import type { DeleteActivities } from './domain/gdpr-delete';
import type { Parts } from './parts';
import { EraseUser } from './routing/erase-user';
import { Retention } from './routing/retention';
import { createDeleteActivities } from './temporal/delete-activities';
import { createEraseActivities } from './temporal/erase-activities';

const DAY_MS = 24 * 60 * 60 * 1000;

export function createRetention(parts: Parts): Retention {
  const { config, database } = parts;
  return new Retention({
    ...parts,
    rows: new RetentionRows(database),
    bundles: new ExportBundles(database),
    groupExpiry: new GroupExpiry(database, { ttlMs: config.IM_OFFLINE_TTL_DAYS * DAY_MS }),
    days: {
      inbox: config.IM_RETENTION_INBOX_DAYS,
      messages: config.IM_RETENTION_MESSAGES_DAYS,
      receipts: config.IM_RETENTION_RECEIPTS_DAYS,
      jobs: config.IM_RETENTION_JOBS_DAYS,
      ttl: config.IM_OFFLINE_TTL_DAYS,
    },
    now: Date.now,
  });
}

export function createErasure(parts: Parts): EraseActivities {
  const { config, database, redis, log } = parts;
  const retention = new TopicRetention(parts.consumerKafka);
  return createEraseActivities({
    eraser: new EraseUser({
      ...parts,
      rows: new ErasureRows(database, Date.now),
      traces: new UserTraces(redis),
      bundles: new ExportBundles(database),
    }),
    copies: () => kafkaCopies(retention, config.ENCRYPTION === 'on', Date.now()),
    log,
  });
}

export function createDeletion(parts: Parts): DeleteActivities {
  return createDeleteActivities({
    ...parts,
    erased: parts.erasedMessages,
    tickets: parts.routingTickets,
    bundles: new ExportBundles(parts.database),
    retention: new TopicRetention(parts.consumerKafka),
    now: Date.now,
  });
}

/** Copies of a user's messages that go by themselves; without their key, those encrypted are unreadable. */
async function kafkaCopies(
  retention: TopicRetention,
  sealed: boolean,
  at: number,
): Promise<GdprExpiry[]> {
  const carriers = [TOPICS.offline, TOPICS.delivered, TOPICS.group];
  const gone = await retention.copiesGone(carriers, at);
  return Object.entries(gone).map(([topic, at]) => ({
    // group_msg is plain: gateways cannot decrypt.
    what: `kafka:${topic}${sealed && !topic.startsWith(TOPICS.group) ? ' (unreadable)' : ''}`,
    at,
  }));
}
