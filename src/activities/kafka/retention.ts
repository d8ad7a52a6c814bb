/** How long records lie on a topic: asked of Kafka, for people are promised when they are gone. */
import { ConfigResourceTypes } from 'kafkajs';
import type { Kafka } from 'kafkajs';
import { withDeadline } from '../deadline';
import { deadLetterTopic } from './topics';

/** For connecting and both questions together, ms. */
const DEADLINE_MS = 10_000;
/** Of a topic that keeps its records for ever: as good as that, and still a time, ms. */
const FOR_EVER_MS = 100 * 365 * 24 * 60 * 60 * 1000;

export class TopicRetention {
  constructor(private readonly kafka: Kafka) {}

  /**
   * When what is on these topics by `at`, and their dead letters, is gone for certain: by topic, unix
   * ms. A dead letter may be put aside as late as its original is there.
   */
  async copiesGone(topics: readonly string[], at: number): Promise<Record<string, number>> {
    const lives = await this.of([...topics, ...topics.map(deadLetterTopic)]);
    const gone: Record<string, number> = {};
    for (const topic of topics) {
      const life = lives.get(topic) ?? 0;
      const afterwards = lives.get(deadLetterTopic(topic));
      if (life > 0) gone[topic] = at + life;
      if (afterwards !== undefined) gone[deadLetterTopic(topic)] = at + life + afterwards;
    }
    return gone;
  }

  /**
   * After how many ms a record written now is gone for certain, by topic; topics that do not exist are
   * left out. A segment is removed as a whole, once its youngest record is old enough.
   */
  async of(topics: readonly string[]): Promise<Map<string, number>> {
    const admin = this.kafka.admin();
    try {
      return await withDeadline(
        (async () => {
          await admin.connect();
          const there = new Set(await admin.listTopics());
          const resources = topics
            .filter((topic) => there.has(topic))
            .map((name) => ({
              type: ConfigResourceTypes.TOPIC,
              name,
              configNames: ['retention.ms', 'segment.ms'],
            }));
          if (resources.length === 0) return new Map<string, number>();
          const answer = await admin.describeConfigs({ resources, includeSynonyms: false });
          return new Map(
            answer.resources.map(({ resourceName, configEntries }) => [
              resourceName,
              lifeOf(new Map(configEntries.map((e) => [e.configName, Number(e.configValue)]))),
            ]),
          );
        })(),
        DEADLINE_MS,
        'asking Kafka for the retention of topics',
      );
    } finally {
      await admin.disconnect();
    }
  }
}

function lifeOf(config: ReadonlyMap<string, number>): number {
  const retention = config.get('retention.ms') ?? -1;
  return retention < 0 ? FOR_EVER_MS : retention + (config.get('segment.ms') ?? 0);
}
