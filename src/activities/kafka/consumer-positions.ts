/** How far a consumer group has read a topic, beside what the topic still has. */
import type { Kafka } from 'kafkajs';
import { withDeadline } from '../deadline';

export interface ConsumerPosition {
  readonly partition: number;
  /** The next offset to read, 0 when the group never read the partition. */
  readonly committed: number;
  /** The first offset that is still there, and the one after the last. */
  readonly low: number;
  readonly high: number;
}

export async function consumerPositions(
  kafka: Kafka,
  { topic, groupId, deadlineMs }: { topic: string; groupId: string; deadlineMs: number },
): Promise<ConsumerPosition[]> {
  const admin = kafka.admin();
  const asked = async (): Promise<ConsumerPosition[]> => {
    await admin.connect();
    const [ends, [group]] = await Promise.all([
      admin.fetchTopicOffsets(topic),
      admin.fetchOffsets({ groupId, topics: [topic] }),
    ]);
    const committed = new Map(group?.partitions.map((one) => [one.partition, Number(one.offset)]));
    return ends.map(({ partition, low, high }) => ({
      partition,
      committed: Math.max(0, committed.get(partition) ?? 0),
      low: Number(low),
      high: Number(high),
    }));
  };
  try {
    return await withDeadline(asked(), deadlineMs, 'consumer positions');
  } finally {
    await admin.disconnect();
  }
}
