/** `private_msg` into MySQL: the history of what was delivered at once. */
import { TopicConsumer } from '../activities/kafka/consumer';
import { TOPICS } from '../activities/kafka/topics';
import type { MessageStore } from '../activities/mysql/message-store';
import type { DeliveredEntry } from '../domain/inbox';
import { decodeDelivered } from '../domain/records';
import { BisectingWriter } from './bisecting-writer';
import type { ConsumerDeps } from './offline-messages';

export function createDeliveredConsumer(
  deps: ConsumerDeps & { readonly messages: MessageStore },
): TopicConsumer<DeliveredEntry> {
  const { messages, ...rest } = deps;
  const writer = new BisectingWriter<DeliveredEntry>((entries) => messages.storeDelivered(entries));
  return new TopicConsumer({
    ...rest,
    topic: TOPICS.delivered,
    decode: decodeDelivered,
    handle: (entries) => writer.add(entries),
  });
}
