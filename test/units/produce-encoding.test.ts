/** Our encoding of Kafka's Produce requests and our partitioner, against kafkajs's own. */
import fc from 'fast-check';
import { Partitioners } from 'kafkajs';
import { partitionOf } from '../../src/activities/kafka/partitioner';
import { encodeProduce } from '../../src/activities/kafka/produce-encoding';
import type { ProduceRequest } from '../../src/activities/kafka/produce-encoding';
import { changeProduceRequests } from '../../src/activities/kafka/produce-requests';

interface Request {
  encode(): Promise<{ readonly buffer: Buffer }>;
}

// eslint-disable-next-line @typescript-eslint/no-require-imports
const kafkajsRequest = require('kafkajs/src/protocol/requests/produce/v7/request') as (
  request: ProduceRequest,
) => Request;

const NOW = 1_790_000_000_123;

const bytes = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.uint8Array({ maxLength: 9_000 }).map((array) => Buffer.from(array)),
);
const message = fc.record(
  {
    key: bytes,
    value: bytes,
    headers: fc.dictionary(fc.string({ maxLength: 20 }), bytes, { maxKeys: 3 }),
  },
  { requiredKeys: ['key', 'value'] },
);
const request: fc.Arbitrary<ProduceRequest> = fc.record({
  acks: fc.constant(-1),
  timeout: fc.integer({ min: 0, max: 60_000 }),
  topicData: fc.array(
    fc.record({
      topic: fc.string({ maxLength: 20 }),
      partitions: fc.array(
        fc.record({
          partition: fc.nat(64),
          firstSequence: fc.constant(0),
          messages: fc.array(message, { minLength: 1, maxLength: 70 }),
        }),
        { maxLength: 4 },
      ),
    }),
    { maxLength: 3 },
  ),
});

describe('the encoding of Produce requests', () => {
  beforeEach(() => {
    jest.spyOn(Date, 'now').mockReturnValue(NOW);
  });
  afterEach(() => jest.restoreAllMocks());

  it('has the same bytes as that of kafkajs', async () => {
    await fc.assert(
      fc.asyncProperty(request, async (asked) => {
        const expected = (await kafkajsRequest(asked).encode()).buffer;
        expect(encodeProduce(asked, NOW)?.equals(expected)).toBe(true);
      }),
      { numRuns: 150 },
    );
  });

  it.each([
    ['a transaction', { transactionalId: 't' }, {}],
    ['an idempotent producer', { producerId: 7n }, {}],
    ['compression', { compression: 1 }, {}],
    ['a time of its own', {}, { timestamp: '1' }],
    ['no key', {}, { key: null }],
    ['no value', {}, { value: null }],
    ['a header of many values', {}, { headers: { h: ['1', '2'] } }],
  ])('leaves %s to kafkajs', (_, ofRequest, ofMessage) => {
    const messages = [{ key: 'k', value: 'v', ...ofMessage }];
    const topicData = [{ topic: 't', partitions: [{ partition: 0, messages }] }];
    expect(encodeProduce({ acks: -1, timeout: 1, topicData, ...ofRequest }, NOW)).toBeUndefined();
  });

  it('is what kafkajs uses', async () => {
    changeProduceRequests();
    changeProduceRequests();
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    const produce = require('kafkajs/src/protocol/requests/produce') as {
      protocol(o: { version: number }): (asked: ProduceRequest) => { request: Request };
    };
    const messages = [{ key: 'k', value: 'v' }];
    const topicData = [{ topic: 't', partitions: [{ partition: 0, messages }] }];
    const asked = { acks: -1, timeout: 1, topicData };
    const encoded = await produce.protocol({ version: 7 })(asked).request.encode();
    // A buffer of just the size: kafkajs's own has room behind it.
    expect((encoded as unknown as { buf: Buffer }).buf).toEqual(encodeProduce(asked, NOW));
  });
});

describe('the partition of a key', () => {
  it('is the one that kafkajs chooses', () => {
    const choose = Partitioners.DefaultPartitioner();
    fc.assert(
      fc.property(bytes, fc.integer({ min: 1, max: 200 }), (key, partitions) => {
        const partitionMetadata = Array.from({ length: partitions }, (_, partitionId) => ({
          partitionErrorCode: 0,
          partitionId,
          leader: 0,
          replicas: [],
          isr: [],
        }));
        const theirs = choose({ topic: 't', partitionMetadata, message: { key, value: null } });
        expect(partitionOf(key, partitions)).toBe(theirs);
      }),
      { numRuns: 500 },
    );
  });
});
