import { randomUUID } from 'node:crypto';
import { partitionOf } from '../../../src/activities/kafka/partitioner';
import { ensureTopics } from '../../../src/activities/kafka/topics';
import { connectKafka, createTopic, log } from '../../support/kafka';

describe('topics', () => {
  const options = { replication: 1, deadlineMs: 20_000, log };

  it('are made once when several processes start at the same time', async () => {
    const specs = [1, 3].map((partitions) => ({
      topic: `test-${randomUUID()}`,
      partitions,
      retentionMs: 3_600_000,
    }));
    const kafka = connectKafka();
    const results = await Promise.all(
      Array.from({ length: 4 }, () => ensureTopics(kafka, specs, options)),
    );
    for (const counts of results) {
      expect(specs.map(({ topic }) => counts.get(topic))).toEqual([1, 3]);
    }
    const admin = kafka.admin();
    await admin.connect();
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: specs[0]!.topic, configNames: ['retention.ms'] }],
    });
    await admin.disconnect();
    expect(resources[0]?.configEntries[0]?.configValue).toBe('3600000');
  });

  it('keep the partition count they had, and say so', async () => {
    const kafka = connectKafka();
    const topic = await createTopic(kafka, 2);
    const counts = await ensureTopics(kafka, [{ topic, partitions: 8, retentionMs: 1 }], options);
    expect(counts.get(topic)).toBe(2);
  });

  it("hold a key on the partition that the producer's own choice is", async () => {
    const kafka = connectKafka();
    const topic = await createTopic(kafka, 7);
    const producer = kafka.producer();
    await producer.connect();
    for (const key of ['user-1', 'Zoë', '用户', 'a'.repeat(100)]) {
      const [sent] = await producer.send({ topic, messages: [{ key, value: 'x' }] });
      expect(partitionOf(key, 7)).toBe(sent?.partition);
    }
    await producer.disconnect();
  });
});
