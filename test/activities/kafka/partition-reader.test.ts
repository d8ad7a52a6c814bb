import { PartitionReader } from '../../../src/activities/kafka/partition-reader';
import { connectKafka, createProducer, createTopic } from '../../support/kafka';
import { waitFor } from '../../support/wait';

describe('a partition whose first records are past their time', () => {
  const kafka = connectKafka();
  const COUNT = 5;

  /** The values that are read from offset 0 on, after records before `low` have gone. */
  async function readAfter(low: number): Promise<string[]> {
    const topic = await createTopic(kafka, 1);
    const producer = await createProducer(kafka);
    for (let i = 0; i < COUNT; i++) await producer.append(topic, { key: 'k', value: String(i) });
    await producer.close();
    const admin = kafka.admin();
    await admin.connect();
    // Without which kafkajs does not know the topic's leaders.
    await admin.fetchTopicOffsets(topic);
    const partitions = [{ partition: 0, offset: String(low) }];
    await admin.deleteTopicRecords({ topic, partitions });
    await admin.disconnect();
    const range = { topic, partition: 0, from: { offset: 0 } };
    const reader = new PartitionReader(kafka, 'test');
    let values: string[] = [];
    await waitFor('a broker that has loaded its groups', 15_000, async () => {
      values = [];
      try {
        await reader.read(range, ({ value }) => values.push(value.toString()));
        return true;
      } catch (error) {
        if (/coordinator/.test(String(error))) return false;
        throw error;
      }
    });
    return values;
  }

  it('is read to its end at once when none is left', async () => {
    expect(await readAfter(COUNT)).toEqual([]);
  }, 20_000);

  it('is read from the first that is left', async () => {
    expect(await readAfter(3)).toEqual(['3', '4']);
  });
});
