/** Appends while the leaders of partitions move: what is acknowledged, what is not, and what is sent when. */
import { createKafka } from '../../src/activities/kafka/client';
import { History } from '../../src/activities/kafka/history';
import { partitionOf } from '../../src/activities/kafka/partitioner';
import { BatchingProducer } from '../../src/activities/kafka/producer';
import type { ProducerOptions } from '../../src/activities/kafka/producer';
import { TOPICS } from '../../src/activities/kafka/topics';
import { sleep } from '../../src/activities/sleep';
import { createMetrics } from '../../src/metrics';
import { createLogger } from '../../src/logger';
import { FakeKafka, NO_ERROR, NOT_LEADER, TOO_LARGE } from '../support/fake-kafka';
import { waitFor } from '../support/wait';

const TOPIC = TOPICS.delivered;
const DEADLINE_MS = 600;
/** Longer than kafkajs would try by itself. */
const LATER_MS = 2_500;

const log = createLogger('silent', 'test');
/** Keys by the partition, of two, that they are on. */
const ON = [0, 1].map((partition) => {
  const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
  return keys.find((key) => partitionOf(key, 2) === partition) as string;
});

let cluster: FakeKafka;
let producer: BatchingProducer;
const metrics = createMetrics();

beforeEach(async () => {
  cluster = new FakeKafka(2, { topic: TOPIC, leaders: [1, 2] });
  await cluster.open();
});
afterEach(async () => {
  await producer.close();
  await cluster.close();
});

async function connect(
  options: Partial<ProducerOptions> = {},
  topics: readonly string[] = [TOPIC],
): Promise<void> {
  producer = new BatchingProducer({
    kafka: createKafka({
      brokers: cluster.addresses,
      clientId: 'test',
      deadlineMs: options.deadlineMs ?? DEADLINE_MS,
      log,
    }),
    deadlineMs: DEADLINE_MS,
    log,
    metrics,
    ...options,
  });
  await producer.warmUp(topics);
}

/** Appends values at once, each to a partition; what became of each. */
async function append(...values: [partition: number, value: string][]): Promise<string[]> {
  const outcomes = await Promise.allSettled(
    values.map(([partition, value]) =>
      producer.append(TOPIC, { key: ON[partition] as string, value }),
    ),
  );
  return outcomes.map((outcome) =>
    outcome.status === 'fulfilled' ? 'stored' : String((outcome.reason as Error).message),
  );
}

function stored(partition: number): string[] {
  return cluster.stored.filter((each) => each.partition === partition).map(({ value }) => value);
}

describe('when the leader of a partition has moved to a broker that has another one', () => {
  it.each([
    ['refuses', NOT_LEADER],
    ['closes the connection', 'close'],
  ] as const)('and the old one %s, what is acknowledged is stored, once', async (_, refusal) => {
    await connect();
    cluster.produced = (broker, partition) => {
      if (broker === cluster.metadata.leaders[partition]) return NO_ERROR;
      return refusal;
    };
    cluster.metadata.leaders = [1, 1];
    expect(await append([0, 'to alice'], [1, 'to bob'])).toEqual(['stored', 'stored']);
    expect([stored(0), stored(1)]).toEqual([['to alice'], ['to bob']]);
  });
});

describe('while a partition has no leader', () => {
  beforeEach(async () => {
    await connect();
    cluster.produced = (_, partition) => (partition === 1 ? NOT_LEADER : NO_ERROR);
  });

  it('only its own records fail', async () => {
    const [alice, bob] = await append([0, 'to alice'], [1, 'to bob']);
    expect(alice).toBe('stored');
    expect(bob).toMatch(/^KAFKA_ERROR: /);
    expect(stored(0)).toEqual(['to alice']);
  });

  it('a record that failed is not sent afterwards', async () => {
    const [five] = await append([1, 'five']);
    expect(five).toMatch(/^KAFKA_ERROR: /);
    cluster.produced = () => NO_ERROR;
    await waitFor('the breaker to try again', 5_000, async () => {
      const [six] = await append([1, 'six']);
      return six === 'stored';
    });
    await sleep(LATER_MS);
    expect(stored(1)).toEqual(['six']);
  });
});

it('a record is not sent after its deadline when metadata come late', async () => {
  await connect({}, []);
  cluster.metadataMs = DEADLINE_MS + 300;
  const [outcome] = await append([0, 'late']);
  expect(outcome).toMatch(/took longer than/);
  await sleep(LATER_MS);
  expect(cluster.stored).toEqual([]);
});

it('a producer that is to send once does not send again', async () => {
  await connect({ once: true });
  let requests = 0;
  cluster.produced = () => {
    requests += 1;
    return NOT_LEADER;
  };
  const [outcome] = await append([0, 'receipt']);
  expect(outcome).toMatch(/^KAFKA_ERROR: /);
  await sleep(LATER_MS);
  expect(requests).toBe(1);
});

it('records without an order go to another partition when theirs has no leader', async () => {
  await connect({ unordered: new Set([TOPIC]) });
  const refusing = new Set<number>();
  cluster.produced = (_, partition) => {
    if (refusing.size === 0) refusing.add(partition);
    return refusing.has(partition) ? NOT_LEADER : NO_ERROR;
  };
  expect(await append([0, 'a'], [1, 'b'])).toEqual(['stored', 'stored']);
});

describe('a record that Kafka finds too large', () => {
  beforeEach(async () => {
    await connect();
    cluster.produced = (_, __, values) => (values.includes('large') ? TOO_LARGE : NO_ERROR);
  });

  it('fails alone, says so, and others are taken at once', async () => {
    const [large, other] = await append([0, 'large'], [1, 'other']);
    expect(large).toMatch(/^KAFKA_ERROR: append failed: Kafka takes no record of \d+ bytes$/);
    expect(other).toBe('stored');
    expect(await append([0, 'next'], [1, 'next'])).toEqual(['stored', 'stored']);
  });

  it('does not hold up the history behind it', async () => {
    const history = new History({ producer, metrics, log });
    const before = (await metrics.historyDropped.get()).values[0]?.value ?? 0;
    expect(await history.append({ key: ON[0] as string, value: 'large' })).toBe(false);
    expect(await history.append({ key: ON[0] as string, value: 'next' })).toBe(true);
    await history.close();
    expect((await metrics.historyDropped.get()).values[0]?.value).toBe(before + 1);
    expect(stored(0)).toEqual(['next']);
  });
});
