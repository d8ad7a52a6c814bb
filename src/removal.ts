/** The part of the worker that removes data: what is past its time, and users who are erased. */
import { deadLetterTopic, TOPICS, topicSpecs } from './activities/kafka/topics';
import { ErasureRows } from './activities/mysql/erasure-rows';
import { GroupExpiry } from './activities/mysql/group-expiry';
import { RetentionRows } from './activities/mysql/retention-rows';
import { UserTraces } from './activities/redis/user-traces';
import type { Config } from './config';
import type { EraseActivities } from './domain/erasure';
import type { GdprExpiry } from './domain/gdpr';
import type { Parts } from './parts';
import { EraseUser } from './routing/erase-user';
import { Retention } from './routing/retention';
import { createEraseActivities } from './temporal/erase-activities';

const DAY_MS = 24 * 60 * 60 * 1000;

export function createRetention(parts: Parts): Retention {
  const { config, database } = parts;
  return new Retention({
    ...parts,
    rows: new RetentionRows(database),
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
  return createEraseActivities({
    eraser: new EraseUser({
      ...parts,
      rows: new ErasureRows(database, Date.now),
      traces: new UserTraces(redis),
      // No exports are kept yet.
      eraseExports: () => Promise.resolve(false),
    }),
    copies: () => Promise.resolve(kafkaCopies(config, Date.now())),
    log,
  });
}

/** Copies of a user's messages that go by themselves; without their key, those encrypted are unreadable. */
function kafkaCopies(config: Config, now: number): GdprExpiry[] {
  const sealed = config.ENCRYPTION === 'on';
  const messages = [TOPICS.offline, TOPICS.delivered, TOPICS.group];
  const carry = messages.flatMap((topic) => [topic, deadLetterTopic(topic)]);
  return topicSpecs(config)
    .filter(({ topic }) => carry.includes(topic))
    .map(({ topic, retentionMs }) => ({
      // group_msg is plain: gateways cannot decrypt.
      what: `kafka:${topic}${sealed && !topic.startsWith(TOPICS.group) ? ' (unreadable)' : ''}`,
      at: now + retentionMs,
    }));
}
