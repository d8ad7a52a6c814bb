/** Whether Kafka answers, asked over a connection of its own. */
import type { Admin, Kafka } from 'kafkajs';

export class KafkaHealth {
  private admin: Promise<Admin> | undefined;

  constructor(private readonly kafka: Kafka) {}

  /** Rejects when no broker answers; the client's own deadlines bound it. */
  async ping(): Promise<void> {
    this.admin ??= this.connect();
    const admin = await this.admin;
    await admin.describeCluster();
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
