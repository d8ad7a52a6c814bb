/** Every error code of the spec has a cause; each is provoked here or in the test named beside it. */
import { ERROR_TEXT, ImError } from '../../src/domain/errors';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

/** An address where nothing listens. */
const NOWHERE = '127.0.0.1:1';

async function withSystem(
  changes: Record<string, string>,
  test: (system: TestSystem) => Promise<void>,
): Promise<void> {
  const system = await startSystem(changes);
  try {
    await test(system);
  } finally {
    await system.close();
  }
}

const provoked: string[] = [];

async function expectCode(
  code: keyof typeof ERROR_TEXT,
  success: boolean,
  work: () => Promise<{ success: boolean; code?: string; error_message: string }>,
): Promise<void> {
  const answer = await work();
  expect(answer).toMatchObject({ success, code });
  expect(answer.error_message.startsWith(`${code}: `)).toBe(true);
  provoked.push(code);
}

test('INVALID_RECIPIENT, MESSAGE_TOO_LARGE, DUPLICATE_MESSAGE, ROUTING_FAILED: what the caller did', () =>
  withSystem({}, async ({ send }) => {
    const [alice, bob, id] = [unique('alice'), unique('bob'), unique('msg')];
    await expectCode('INVALID_RECIPIENT', false, () => send(alice, 'unknown_bob'));
    await expectCode('MESSAGE_TOO_LARGE', false, () => send(alice, bob, 'x'.repeat(10_241)));
    await send(alice, bob, 'one', id);
    await expectCode('DUPLICATE_MESSAGE', false, () => send(alice, bob, 'two', id));
    await expectCode('ROUTING_FAILED', false, () => send(alice, bob, 'x', 'a/b'));
  }));

test('QUOTA_EXCEEDED: as many messages wait for the recipient as may', () =>
  withSystem({ IM_OFFLINE_QUOTA: '3' }, async ({ send, gateway, client }) => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    for (let i = 0; i < 3; i++) expect((await send(alice, bob)).success).toBe(true);
    const id = unique('msg');
    await expectCode('QUOTA_EXCEEDED', false, () => send(alice, bob, 'one too many', id));
    expect(await client.status(id)).toMatchObject({ status: 'failed' });
    // A retry of the refused message succeeds once it can be delivered, with the number it had.
    await gateway.connect(bob, 'phone');
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await send(alice, bob, 'one too many', id)).toMatchObject({
      success: true,
      status: 'delivered',
      error_message: '',
    });
  }));

test('SERVICE_UNAVAILABLE: the user service is away and the recipient was never seen', () =>
  withSystem({ USER_SERVICE_ADDRESS: NOWHERE }, async ({ send }) => {
    await expectCode('SERVICE_UNAVAILABLE', false, () => send(unique('alice'), unique('bob')));
  }));

test('REGISTRY_ERROR: etcd is away, so the message is kept, and the answer says why', () =>
  withSystem({ ETCD_ENDPOINTS: `http://${NOWHERE}` }, async ({ send }) => {
    await expectCode('REGISTRY_ERROR', true, () => send(unique('alice'), unique('bob')));
  }));

test('KAFKA_ERROR: Kafka is away, so the message is stored directly, and the answer says so', () =>
  withSystem({ KAFKA_BROKERS: NOWHERE }, async ({ send }) => {
    await expectCode('KAFKA_ERROR', true, () => send(unique('alice'), unique('bob')));
  }));

test('ENCRYPTION_ERROR: content that cannot be sealed is refused, not stored in clear', async () => {
  const refuse = () => Promise.reject(new ImError('ENCRYPTION_ERROR', 'the key provider is away'));
  const content = { screen: (message: { content: string }) => message.content };
  const system = await startSystem({}, { ...content, seal: refuse, ready: refuse });
  try {
    await expectCode('ENCRYPTION_ERROR', false, () => system.send(unique('alice'), unique('bob')));
  } finally {
    await system.close();
  }
});

test('the other codes are provoked where servers are taken away', () => {
  // test/faults/outages.test.ts
  const elsewhere = ['SEQUENCE_ERROR', 'STORAGE_ERROR', 'RETRIEVAL_ERROR'];
  expect([...new Set(provoked), ...elsewhere].sort()).toEqual(Object.keys(ERROR_TEXT).sort());
});
