import { Coalescer } from '../../src/activities/coalescer';
import { OffsetCommits } from '../../src/activities/kafka/offset-commits';
import { sleep } from '../../src/activities/sleep';

/** Far more than a turn takes, so that a slow machine changes nothing. */
const APART_MS = 300;

describe('batches of a coalescer that are to be some time apart', () => {
  it('take what comes after one that ended sooner', async () => {
    const batches: number[][] = [];
    const run = (items: number[]): Promise<number[]> => {
      batches.push(items);
      return Promise.resolve(items);
    };
    const coalescer = new Coalescer({ run, maxBatch: 10, maxQueued: 10, apartMs: APART_MS });
    await coalescer.add(1);
    await Promise.all([coalescer.add(2), sleep(5).then(() => coalescer.add(3))]);
    expect(batches).toEqual([[1], [2, 3]]);
    await coalescer.whenIdle();
  });
});

describe('commits of offsets', () => {
  const batchOf = (commit: () => Promise<void>) => {
    return { uncommittedOffsets: () => ({ topics: [] }), commitOffsetsIfNecessary: commit };
  };

  it('of all partitions that are done in a turn are one request', async () => {
    let requests = 0;
    const batch = batchOf(() => {
      requests += 1;
      return Promise.resolve();
    });
    const commits = new OffsetCommits(0, new AbortController().signal);
    await Promise.all(Array.from({ length: 20 }, () => commits.commit(batch)));
    expect(requests).toBe(1);
    await commits.commit(batch);
    expect(requests).toBe(2);
  });

  it('that come while one is under way are in the next, for their offsets may not be in this one', async () => {
    const answers: (() => void)[] = [];
    const batch = batchOf(() => new Promise((resolve) => answers.push(resolve)));
    const commits = new OffsetCommits(0, new AbortController().signal);
    const first = commits.commit(batch);
    await sleep(20);
    const second = commits.commit(batch);
    await sleep(20);
    expect(answers).toHaveLength(2);
    answers.forEach((answer) => answer());
    await Promise.all([first, second]);
  });

  it('reach everybody who waits when the group refuses them', async () => {
    const batch = batchOf(() => Promise.reject(new Error('rebalancing')));
    const commits = new OffsetCommits(0, new AbortController().signal);
    const outcomes = await Promise.allSettled([commits.commit(batch), commits.commit(batch)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('are not put off once the consumer is to stop', async () => {
    const stopping = new AbortController();
    let requests = 0;
    const batch = batchOf(() => {
      requests += 1;
      return Promise.resolve();
    });
    // Longer than a test may take.
    const commits = new OffsetCommits(3_600_000, stopping.signal);
    await commits.commit(batch);
    const held = commits.commit(batch);
    await sleep(20);
    expect(requests).toBe(1);
    stopping.abort();
    await held;
    expect(requests).toBe(2);
  });
});
