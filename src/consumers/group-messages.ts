/** `group_msg` into MySQL: each message once, and what its absent members need to get it. */
import { TopicConsumer } from '../activities/kafka/consumer';
import { TOPICS } from '../activities/kafka/topics';
import { decodeGroup } from '../domain/group-records';
import type { SequencedMessage } from '../domain/message';
import type { GroupFanout } from '../routing/group-fanout';
import type { ConsumerDeps } from './offline-messages';

export function createGroupConsumer(
  deps: ConsumerDeps & { readonly fanout: Pick<GroupFanout, 'keep'> },
): TopicConsumer<SequencedMessage> {
  const { fanout, ...rest } = deps;
  return new TopicConsumer({
    ...rest,
    topic: TOPICS.group,
    decode: decodeGroup,
    handle: (messages, later) => fanout.keep(messages, later),
  });
}
