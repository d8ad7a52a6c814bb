/** The demo: it says plainly when there is nothing to show, and never claims what did not happen. */
import { demoConfig, workflowUrl } from '../../dev/demo/config';
import { Story, StoryFailure, claim } from '../../dev/demo/story';
import { RunningSystem } from '../../dev/demo/system';

function story() {
  const lines: string[] = [];
  return { story: new Story({ write: (text) => lines.push(text) }), told: () => lines.join('') };
}

test('without a running system it says what does not answer and what to do', async () => {
  const nowhere = demoConfig({ DEV_GATEWAY_HTTP_PORT: '1' });
  const system = new RunningSystem(nowhere);
  const failure = await system.requireReady().catch((error: unknown) => error);
  await system.close();
  expect(failure).toBeInstanceOf(StoryFailure);
  const teller = story();
  teller.story.failed(failure);
  expect(teller.told()).toMatch(/development gateway does not answer at http:\/\/127.0.0.1:1/);
  expect(teller.told()).toMatch(/npm start/);
});

test('a step is told as done only when its claim holds and it came in time', async () => {
  const teller = story();
  await teller.story.step(1_000, 'good', () => Promise.resolve(7), String);
  const broken = teller.story.step(1_000, 'broken', () => {
    claim(false, 'it did not happen');
    return Promise.resolve();
  });
  await expect(broken).rejects.toThrow('it did not happen');
  const late = teller.story.step(20, 'late', () => new Promise(() => undefined));
  await expect(late).rejects.toThrow('longer than 20 ms');
  expect(teller.told()).toMatch(/✓ good -> 7 \(\d+ ms\)\n {2}✗ broken\n {2}✗ late\n/);
});

test('the link to a workflow follows the ports and escapes its id', () => {
  const config = demoConfig({ PORT_OFFSET: '1000' });
  expect(workflowUrl(config, 'offline-delivery/bob')).toBe(
    'http://127.0.0.1:9233/namespaces/default/workflows/offline-delivery%2Fbob',
  );
  expect(config).toMatchObject({
    imAddress: '127.0.0.1:10094',
    gatewayUrl: 'http://127.0.0.1:9097',
  });
});
