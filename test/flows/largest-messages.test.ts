/** Many of the largest messages at once to one group or one recipient: more than Kafka takes in one request. */
import type { Database } from '../../src/activities/mysql/database';
import { MAX_CONTENT_BYTES } from '../../src/domain/validation';
import type { RunningWorker } from '../../src/worker';
import { people, stored, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import type { RouteResponse } from '../support/im-client';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { startTestWorker } from '../support/worker';

const COUNT = 150;
/** On Kafka six times as long: JSON writes each as \u0001. */
const LARGEST = '\u0001'.repeat(MAX_CONTENT_BYTES);

let system: TestSystem;
let worker: RunningWorker;
let db: Database;

beforeAll(async () => {
  // The machine may be slow, and what is slow is not what is looked at.
  system = await startSystem({ IM_KAFKA_DEADLINE_MS: '10000' });
  worker = await startTestWorker(system.config);
  db = await openDatabase();
}, 120_000);
afterAll(async () => {
  await worker.close();
  await system.close();
  await db.close();
}, 60_000);

const undegraded = { success: true, code: undefined };

/** Sends the largest messages at once, and others' short ones to a group of their own; all must be taken. */
async function sendLargest(one: (msgId: string) => Promise<RouteResponse>): Promise<void> {
  const members = people(2);
  const others = await TestGroup.make(system, members);
  const [largest, short] = [COUNT, COUNT].map((n) =>
    Array.from({ length: n }, () => unique('msg')),
  );
  const answers = await Promise.all(
    largest!.flatMap((id, i) => [
      one(id),
      others.send(members[0] as string, 'short', short![i] as string),
    ]),
  );
  for (const answer of answers) expect(answer).toMatchObject(undegraded);
  await stored(db, [...largest!, ...short!], 60_000);
}

test('to a group are all published and stored, and so are those of others', async () => {
  const members = people(3);
  const group = await TestGroup.make(system, members);
  await sendLargest((msgId) => group.send(members[0] as string, LARGEST, msgId));
}, 120_000);

test('to a user who is away are all kept and stored, and those of others are published', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  await sendLargest((msgId) => system.send(alice, bob, LARGEST, msgId));
}, 120_000);

test('to a user who is online are all in the history, and those of others are published', async () => {
  const [alice, bob] = [unique('alice'), unique('bob')];
  await system.gateway.connect(bob, 'phone');
  await sendLargest((msgId) => system.send(alice, bob, LARGEST, msgId));
}, 120_000);
