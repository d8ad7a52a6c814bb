/** Chapter 1: a private message to somebody online, then to somebody away who comes back. */
import { pause } from '../common/wait';
import { Person, type Frame } from './person';
import { claim, type Story } from './story';
import type { RunningSystem } from './system';

const STEP_MS = 20_000;
/** What should not come, a second copy for one, would come within this. */
export const SURPLUS_MS = 300;
const WAITING = ['Are you still there?', 'The tickets are at the door.', 'See you at eight!'];

/** Tells the chapter; every claim that does not hold ends it. */
export async function privateChapter(
  story: Story,
  system: RunningSystem,
  run: string,
): Promise<void> {
  const { gatewayUrl } = system.config;
  const aliceName = `alice-${run}`;
  const bobName = `bob-${run}`;
  story.chapter('1. A private message');

  const [alice, bob] = await story.step(STEP_MS, 'alice and bob connect to the gateway', () =>
    Promise.all([Person.connect(gatewayUrl, aliceName), Person.connect(gatewayUrl, bobName)]),
  );
  const online = await story.step(
    STEP_MS,
    'alice writes to bob, who is online',
    async () => expectStatus(await alice.send({ to: bobName }, 'Hello, Bob!'), 'delivered'),
    tellRouted,
  );
  await story.step(STEP_MS, 'bob has it on his phone', () => bob.receives(online.msg_id, 5_000));

  await story.step(STEP_MS, 'bob leaves', () => bob.leave());
  const waiting: Frame[] = [];
  for (const text of WAITING) {
    const sent = await story.step(
      STEP_MS,
      `alice writes "${text}"`,
      async () => expectStatus(await alice.send({ to: bobName }, text), 'offline'),
      tellRouted,
    );
    waiting.push(sent);
  }

  const back = await story.step(STEP_MS, 'bob comes back, and asks for nothing', () =>
    Person.connect(gatewayUrl, bobName),
  );
  await story.step(
    30_000,
    'what waited for bob reaches him',
    () => Promise.all(waiting.map(({ msg_id }) => back.receives(msg_id, 30_000))),
    (messages) => `${messages.length} messages`,
  );
  await story.step(STEP_MS, 'in order, and nothing twice', async () => {
    await pause(SURPLUS_MS);
    const received = back.received();
    claim(received.join('|') === WAITING.join('|'), `bob received ${JSON.stringify(received)}`);
  });
  await tellDelivery(story, system, bobName);
  await story.step(
    STEP_MS,
    'GetMessageStatus of the last one',
    () => deliveredStatus(system, waiting.at(-1)?.msg_id),
    ({ status, delivered_devices }) => `${status} (${delivered_devices.join(', ')})`,
  );
  await Promise.all([alice.leave(), back.leave()]);
}

/** Shows which workflow delivered, and where to look at it. */
export async function tellDelivery(
  story: Story,
  system: RunningSystem,
  userId: string,
): Promise<void> {
  const workflow = await story.step(
    STEP_MS,
    'a workflow did that',
    async () => {
      const report = await system.offlineDelivery(userId);
      const wentWell = report.status === 'COMPLETED' || report.status === 'RUNNING';
      claim(wentWell, `${report.id} is ${report.status}`);
      return report;
    },
    ({ id, status }) => `${id} ${status.toLowerCase()}`,
  );
  story.link('see it:', workflow.url);
}

/** The answer itself, when it is the success that the story tells of. */
export function expectStatus(answer: Frame, status: string): Frame {
  const holds = answer.success === true && answer.status === status;
  claim(holds, `the answer is "${answer.status}" instead: ${answer.error_message ?? ''}`);
  return answer;
}

/** What IM Service said of a message it took. */
export function tellRouted({ status, sequence_number, error_message }: Frame): string {
  const degraded = error_message ? ` (${error_message})` : '';
  return `${status}, sequence number ${sequence_number}${degraded}`;
}

/** The workflow marks what it has pushed a moment later. */
async function deliveredStatus(
  system: RunningSystem,
  msgId: string | undefined,
): ReturnType<RunningSystem['messageStatus']> {
  const deadline = Date.now() + 10_000;
  for (;;) {
    const answer = await system.messageStatus(msgId);
    if (answer.status === 'delivered') return answer;
    claim(Date.now() < deadline, `the status is still "${answer.status}"`);
    await pause(100);
  }
}
