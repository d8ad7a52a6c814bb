/** `offline_msg` into MySQL: each record becomes a message and its place in the recipient's inbox. */
import { TopicConsumer } from '../activities/kafka/consumer';
import type { ConsumerOptions } from '../activities/kafka/consumer';
import { TOPICS } from '../activities/kafka/topics';
import type { MessageStore } from '../activities/mysql/message-store';
import type { OfflineEntry } from '../domain/inbox';
import { decodeOffline } from '../domain/records';
import { BisectingWriter } from './bisecting-writer';

export type ConsumerDeps = Pick<
  ConsumerOptions<never>,
  'kafka' | 'groupId' | 'concurrency' | 'commitsApartMs' | 'deadLetters' | 'log' | 'metrics'
>;

/** `onStored` is called after each transaction with the users for whom something new waits. */
export function createOfflineConsumer(
  deps: ConsumerDeps & {
    readonly messages: MessageStore;
    readonly onStored: (userIds: Iterable<string>) => void;
    readonly onResumed: () => void;
  },
): TopicConsumer<OfflineEntry> {
  const { messages, onStored, ...rest } = deps;
  const writer = new BisectingWriter<OfflineEntry>(async (entries) => {
    const { newRows, conflicting } = await messages.storeOffline(entries);
    onStored(newRows.keys());
    return conflicting;
  });
  return new TopicConsumer({
    ...rest,
    topic: TOPICS.offline,
    decode: decodeOffline,
    handle: (entries) => writer.add(entries),
  });
}
