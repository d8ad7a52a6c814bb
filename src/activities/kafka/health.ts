/** Whether Kafka can take our records, asked over a connection of its own. */
import type { Admin, Kafka } from 'kafkajs';

export class KafkaHealth {
  private admin: Promise<Admin> | undefined;

  /** `topics`: those that must be there, with a leader for each partition. */
  constructor(
    private readonly kafka: Kafka,
    private readonly topics: readonly string[],
  ) {}

  /** Rejects when no broker answers or a partition cannot be written; the client's deadlines bound it. */
  async ping(): Promise<void> {
    this.admin ??= this.connect();
    const admin = await this.admin;
    const { topics } = await admin.fetchTopicMetadata({ topics: [...this.topics] });
    for (const { name, partitions } of topics) {
      if (partitions.some(({ leader }) => leader < 0)) throw new Error(`${name} has no leader`);
    }
  }

  async close(): Promise<void> {
    const admin = await this.admin?.catch(() => undefined);
    await admin?.disconnect();
  }

  private async connect(): Promise<Admin> {
    const admin = this.kafka.admin();
    try {
      await admin.connect();
      return admin;
    } catch (error) {
      this.admin = undefined;
      throw error;
    }
  }
}
