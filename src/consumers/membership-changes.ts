/** `membership_change` into MySQL: who is in a large group, from when to when. Once for all workers. */
import { TopicConsumer } from '../activities/kafka/consumer';
import { TOPICS } from '../activities/kafka/topics';
import { decodeMembership } from '../domain/group-records';
import type { MembershipChange } from '../domain/roster';
import type { LargeGroups } from '../routing/large-groups';
import type { ConsumerDeps } from './offline-messages';

export function createMembershipConsumer(
  deps: ConsumerDeps & { readonly large: Pick<LargeGroups, 'apply'> },
): TopicConsumer<MembershipChange> {
  const { large, ...rest } = deps;
  return new TopicConsumer({
    ...rest,
    topic: TOPICS.membership,
    decode: decodeMembership,
    handle: async (changes) => {
      await large.apply(changes);
      return changes.map(() => undefined);
    },
  });
}
