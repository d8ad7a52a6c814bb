/** Batches that are bounded by the size of their items, and the sizes of the records we make. */
import { Coalescer } from '../../src/activities/coalescer';
import { bytesOf } from '../../src/activities/kafka/record';
import { MAX_MESSAGE_BYTES } from '../../src/activities/kafka/topics';
import { encodeGroup } from '../../src/domain/group-records';
import { groupConversation, privateConversation } from '../../src/domain/ids';
import { encodeDelivered, encodeOffline } from '../../src/domain/records';
import { MAX_CONTENT_BYTES, MAX_METADATA_BYTES } from '../../src/domain/validation';

describe('batches of a coalescer whose items have sizes', () => {
  async function batchesOf(sizes: number[], maxBatch = 10): Promise<number[][]> {
    const batches: number[][] = [];
    const coalescer = new Coalescer<number, number>({
      run: (items) => {
        batches.push(items);
        return Promise.resolve(items);
      },
      maxBatch,
      maxSize: { size: 10, of: (size) => size },
      maxQueued: 100,
    });
    const results = await Promise.all(sizes.map((size) => coalescer.add(size)));
    expect(results).toEqual(sizes);
    return batches;
  }

  it('come to no more than they may together, in order', async () => {
    expect(await batchesOf([4, 4, 4, 2, 4, 1])).toEqual([[4, 4], [4, 2, 4], [1]]);
  });

  it('have an item that is larger alone', async () => {
    expect(await batchesOf([1, 25, 1, 1, 30])).toEqual([[1], [25], [1, 1], [30]]);
  });

  it('have no more items than they may, however small', async () => {
    expect(await batchesOf([1, 1, 1, 1, 1], 2)).toEqual([[1, 1], [1, 1], [1]]);
  });
});

it('the largest message that is valid makes records that Kafka takes', () => {
  // Nothing that may be in a message becomes longer in JSON than this: six bytes for one.
  const content = '\u0001'.repeat(MAX_CONTENT_BYTES);
  const metadata = { k: '\u0001'.repeat(MAX_METADATA_BYTES - 1) };
  const [id, other] = ['"'.repeat(128), '\\'.repeat(128)] as const;
  const message = { msgId: id, senderId: other, content, metadata, sequenceNumber: 2 ** 53 - 1 };
  const times = { timestamp: 2 ** 53 - 1, acceptedAt: 2 ** 53 - 1 };
  const conversation = privateConversation(id, other);
  const entry = { ...message, ...times, conversation, recipientId: id };
  // More devices than anybody has.
  const devices = Array.from({ length: 1_000 }, () => id);
  const values = [
    encodeOffline(entry, id),
    encodeDelivered({ message: entry, devices, deliveredAt: 2 ** 53 - 1 }),
    encodeGroup({ ...message, ...times, conversation: groupConversation(id) }),
  ];
  for (const value of values) {
    expect(bytesOf({ key: conversation.key, value })).toBeLessThan(MAX_MESSAGE_BYTES / 2);
  }
});
