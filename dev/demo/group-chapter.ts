/** Chapter 2: a message to a group of which some are online and one is away. */
import { pause } from '../common/wait';
import { Person } from './person';
import { SURPLUS_MS, expectStatus, tellDelivery } from './private-chapter';
import { claim, type Story } from './story';
import type { RunningSystem } from './system';

const STEP_MS = 20_000;
const TEXT = 'The book for June is chosen.';

/** Tells the chapter. */
export async function groupChapter(
  story: Story,
  system: RunningSystem,
  run: string,
): Promise<void> {
  const { gatewayUrl } = system.config;
  const group = `book-club-${run}`;
  const [aliceName, bobName, carolName, daveName] = ['alice', 'bob', 'carol', 'dave'].map(
    (name) => `${name}-${run}`,
  ) as [string, string, string, string];
  story.chapter('2. A group message');

  await story.step(STEP_MS, 'a book club of four: alice, bob, carol and dave', () =>
    system.createGroup(group, [aliceName, bobName, carolName, daveName]),
  );
  const online = await story.step(STEP_MS, 'alice, bob and carol connect; dave is away', () =>
    Promise.all([aliceName, bobName, carolName].map((name) => Person.connect(gatewayUrl, name))),
  );
  const [alice, bob, carol] = online as [Person, Person, Person];
  try {
    await story.step(30_000, 'the gateway reads group messages', () =>
      system.gatewayReadsGroups(AbortSignal.timeout(30_000)),
    );
    const sent = await story.step(
      STEP_MS,
      'alice writes to the group',
      async () => {
        const answer = await alice.send({ group }, TEXT);
        expectStatus(answer, 'published');
        claim(answer.member_count === 4, `member_count is ${answer.member_count}, not 4`);
        return answer;
      },
      (answer) => `${answer.status} to ${answer.member_count} members`,
    );
    await story.step(STEP_MS, 'bob and carol have it; alice does not get her own', async () => {
      await Promise.all([bob, carol].map((person) => person.receives(sent.msg_id, 10_000)));
      await pause(SURPLUS_MS);
      claim(alice.received().length === 0, 'alice received her own message');
    });
    await daveComesBack(story, system, daveName, sent.msg_id);
  } finally {
    await Promise.all(online.map((person) => person.leave()));
  }
}

async function daveComesBack(
  story: Story,
  system: RunningSystem,
  name: string,
  msgId: string | undefined,
): Promise<void> {
  const dave = await story.step(STEP_MS, 'dave comes back', () =>
    Person.connect(system.config.gatewayUrl, name),
  );
  await story.step(30_000, 'and has it too, without asking', () => dave.receives(msgId, 30_000));
  await tellDelivery(story, system, name);
  await dave.leave();
}
