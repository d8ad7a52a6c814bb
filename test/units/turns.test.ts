/** Turns of a conversation, batches of a turn of the event loop, and answers that Redis cannot take. */
import { TurnBatcher } from '../../src/activities/turn-batcher';
import { Turns } from '../../src/activities/turns';
import { recordAnswer, restoreAnswer } from '../../src/routing/record-answer';

describe('turns', () => {
  test('pass in the order in which they were entered, each key by itself', async () => {
    const turns = new Turns();
    const passed: string[] = [];
    const [a, b, c] = [turns.enter('x'), turns.enter('x'), turns.enter('x')];
    const other = turns.enter('y');
    expect([a.mine, other.mine]).toEqual([undefined, undefined]);
    const waits = Promise.all([
      c.mine?.then(() => passed.push('c')) ?? 0,
      b.mine?.then(() => passed.push('b')) ?? 0,
    ]);
    a.leave();
    await b.mine;
    expect(passed).toEqual(['b']);
    b.leave();
    await waits;
    expect(passed).toEqual(['b', 'c']);
  });

  test('one that leaves before its turn lets nobody overtake those before it', async () => {
    const turns = new Turns();
    const [a, b, c] = [turns.enter('x'), turns.enter('x'), turns.enter('x')];
    let passed = false;
    const waiting = c.mine?.then(() => (passed = true));
    b.leave();
    b.leave();
    await new Promise(setImmediate);
    expect(passed).toBe(false);
    a.leave();
    await waiting;
    c.leave();
    expect(turns.enter('x').mine).toBeUndefined();
  });
});

describe('batches of a turn', () => {
  test('hold what was asked in the turn, at most so many, and fail each by itself', async () => {
    const batches: number[][] = [];
    const batcher = new TurnBatcher<number, string>({
      run: (items) => {
        batches.push([...items]);
        return Promise.resolve(items.map((n) => (n === 2 ? new Error('not 2') : `ok ${n}`)));
      },
      maxBatch: 3,
    });
    const outcomes = await Promise.allSettled([1, 2, 3, 4].map((n) => batcher.add(n)));
    expect(batches).toEqual([[1, 2, 3], [4]]);
    expect(outcomes.map((o) => (o.status === 'fulfilled' ? o.value : String(o.reason)))).toEqual([
      'ok 1',
      'Error: not 2',
      'ok 3',
      'ok 4',
    ]);
    await batcher.add(5);
    expect(batches.at(-1)).toEqual([5]);
  });

  test('fail together when the batch does', async () => {
    const batcher = new TurnBatcher<number, string>({
      run: () => Promise.reject(new Error('away')),
      maxBatch: 3,
    });
    const outcomes = await Promise.allSettled([batcher.add(1), batcher.add(2)]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });
});

test('an answer that Redis cannot take, also a recalled one, is a success that names STORAGE_ERROR', async () => {
  const away = () => Promise.reject(new Error('Redis is away'));
  const finish = { msgId: 'm', owner: 'o', state: 'delivered' } as const;
  const stored = { message: {}, waited: false } as Parameters<typeof restoreAnswer>[2];
  const named = { code: 'STORAGE_ERROR', detail: 'the status was not recorded: Redis is away' };
  expect(await recordAnswer({ finish: away }, finish)).toEqual(named);
  expect(await restoreAnswer({ restore: away }, 'o', stored)).toEqual(named);
});
