/** Blocks of sequence numbers: nobody is given a number twice, however many ask, and from where. */
import { BLOCK_SIZE, Ceilings } from '../../../src/activities/mysql/ceilings';
import type { Database } from '../../../src/activities/mysql/database';
import { groupConversation } from '../../../src/domain/ids';
import type { Conversation } from '../../../src/domain/ids';
import { createMetrics } from '../../../src/metrics';
import { unique } from '../../support/ids';
import { openDatabase } from '../../support/mysql';

let db: Database;
beforeAll(async () => {
  db = await openDatabase();
});
afterAll(() => db.close());

const ceilings = (): Ceilings => new Ceilings(db, createMetrics());
const conversations = (count: number): Conversation[] =>
  Array.from({ length: count }, () => groupConversation(unique('group')));
const block = (n: number) => ({ floor: (n - 1) * BLOCK_SIZE, ceiling: n * BLOCK_SIZE });

test('conversations that have none begin at 0, many at once', async () => {
  const asking = ceilings();
  const blocks = await Promise.all(conversations(500).map((each) => asking.reserve(each)));
  expect(blocks).toEqual(new Array(500).fill(block(1)));
});

test('a conversation that has a block gets the next one, also among others that have none', async () => {
  const [known, ...others] = conversations(20) as [Conversation, ...Conversation[]];
  const asking = ceilings();
  await asking.reserve(known);
  const blocks = await Promise.all([...others, known].map((each) => asking.reserve(each)));
  expect(blocks).toEqual([...others.map(() => block(1)), block(2)]);
  expect(await ceilings().reserve(known)).toEqual(block(3));
});

test('processes that ask for the same conversations at once never get the same block', async () => {
  const wanted = conversations(50);
  const processes = Array.from({ length: 6 }, ceilings);
  const blocks = await Promise.all(
    processes.map((process) => Promise.all(wanted.map((each) => process.reserve(each)))),
  );
  wanted.forEach((_, i) => {
    const floors = blocks.map((of) => of[i]?.floor ?? -1).sort((a, b) => a - b);
    expect(floors).toEqual(processes.map((_, n) => n * BLOCK_SIZE));
  });
});
