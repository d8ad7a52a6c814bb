/** How far the worker is behind Kafka, from the broker itself: what was appended, and what was committed. */
import { Kafka, logLevel } from 'kafkajs';
import type { Admin } from 'kafkajs';
import { waitFor } from '../../test/support/wait';

/** Topics, and the last part of the consumer groups that bring them into MySQL. */
const CONSUMED = { offline_msg: 'offline', private_msg: 'delivered', group_msg: 'group' } as const;
const DRAIN_MS = 120_000;

export type Topic = keyof typeof CONSUMED;
/** Records of a topic: appended, and stored. */
export type Progress = Record<Topic, { readonly appended: number; readonly stored: number }>;

export class Lag {
  private constructor(private readonly admin: Admin) {}

  static async open(broker: string): Promise<Lag> {
    const kafka = new Kafka({ brokers: [broker], clientId: 'bench', logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    return new Lag(admin);
  }

  async read(): Promise<Progress> {
    const topics = Object.entries(CONSUMED) as [Topic, string][];
    const read = topics.map(async ([topic, group]) => {
      // In this order, or records stored meanwhile would make the lag negative.
      const committed = await this.admin.fetchOffsets({
        groupId: `im-service-${group}`,
        topics: [topic],
      });
      const ends = await this.admin.fetchTopicOffsets(topic);
      const begin = new Map(ends.map(({ partition, low }) => [partition, Number(low)]));
      const stored = (committed[0]?.partitions ?? []).map(({ partition, offset }) =>
        // Nothing committed yet is -1.
        Math.max(Number(offset), begin.get(partition) ?? 0),
      );
      return [topic, { appended: sum(ends.map(({ high }) => Number(high))), stored: sum(stored) }];
    });
    return Object.fromEntries(await Promise.all(read)) as Progress;
  }

  /** Waits until everything appended is stored. */
  async drained(): Promise<void> {
    await waitFor('the worker to store everything', DRAIN_MS, async () =>
      Object.values(await this.read()).every(({ appended, stored }) => stored >= appended),
    );
  }

  async close(): Promise<void> {
    await this.admin.disconnect();
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
