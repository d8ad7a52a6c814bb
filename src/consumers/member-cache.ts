/**
 * `membership_change` into this process' member cache. Each process has a consumer group of its own,
 * since each has to hear of every change; it begins at the end of the topic, and whenever something may
 * have been missed the cache is told to read anew.
 */
import { randomUUID } from 'node:crypto';
import { TopicConsumer } from '../activities/kafka/consumer';
import { TOPICS } from '../activities/kafka/topics';
import type { Groups } from '../activities/user-service/groups';
import { decodeMembership } from '../domain/group-records';
import type { MembershipChange } from '../domain/roster';
import type { ConsumerDeps } from './offline-messages';

/** Changes of all partitions are applied as they come: that is memory only. */
const CONCURRENCY = 16;

export function createMemberCacheConsumer(
  deps: Pick<ConsumerDeps, 'kafka' | 'log' | 'metrics'> & {
    /** Begins the name of the consumer group. */
    readonly clientId: string;
    readonly groups: Pick<Groups, 'apply' | 'distrust'>;
  },
): TopicConsumer<MembershipChange> {
  const { clientId, groups, ...rest } = deps;
  return new TopicConsumer({
    ...rest,
    groupId: `${clientId}-members-${randomUUID()}`,
    topic: TOPICS.membership,
    concurrency: CONCURRENCY,
    fromBeginning: false,
    // The worker's own reader of the topic puts a bad record aside, once for all processes.
    deadLetters: { bury: () => Promise.resolve() },
    onResumed: () => groups.distrust(),
    decode: decodeMembership,
    handle: (changes) => {
      for (const change of changes) groups.apply(change);
      return Promise.resolve(changes.map(() => undefined));
    },
  });
}
