/** Encryption at rest, over gRPC, with the worker. */
import type { Kafka } from 'kafkajs';
import { TOPICS } from '../../src/activities/kafka/topics';
import type { Database } from '../../src/activities/mysql/database';
import type { RunningWorker } from '../../src/worker';
import { encryptionOn, openEncryption } from '../support/encryption';
import { TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import { connectKafka, readUntil } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';
import { startTestWorker } from '../support/worker';

describe('with encryption on', () => {
  const env = encryptionOn();
  let system: TestSystem;
  let worker: RunningWorker;
  let db: Database;
  let kafka: Kafka;

  beforeAll(async () => {
    db = await openDatabase();
    kafka = connectKafka();
    system = await startSystem(env);
    worker = await startTestWorker(system.config);
    await waitFor('the worker to be ready', 60_000, async () => {
      return (await fetch(`http://127.0.0.1:${worker.httpPort}/ready`)).status === 200;
    });
  }, 90_000);
  afterAll(async () => {
    await worker.close();
    await system.close();
    await db.close();
  });

  const stored = async (msgId: string) => {
    const select = () =>
      db.select<{ content: string; content_encoding: string }>(
        'SELECT content, content_encoding FROM messages WHERE msg_id = ?',
        [msgId],
      );
    await waitFor('the message to be stored', 20_000, async () => (await select()).length > 0);
    return (await select())[0];
  };
  const recordOf = async (topic: string, msgId: string) =>
    (await readUntil(kafka, topic, ({ value }) => value.includes(msgId))).value;

  it('a message that waits is a ciphertext on Kafka and in MySQL, and is delivered in clear', async () => {
    const [bob, canary, msgId] = [unique('bob'), unique('canary'), unique('msg')];
    const answer = await system.send(unique('alice'), bob, canary, msgId);
    expect(answer).toMatchObject({ success: true, status: 'offline' });
    expect(await recordOf(TOPICS.offline, msgId)).toContain('"content_encoding":"jwe"');
    expect(await recordOf(TOPICS.offline, msgId)).not.toContain(canary);
    const row = await stored(msgId);
    expect(row?.content_encoding).toBe('jwe');
    expect(row?.content).not.toContain(canary);
    await system.gateway.connect(bob, 'phone');
    const [push] = await system.gateway.received(bob, 1, 30_000);
    expect(push).toMatchObject({ content: canary, message_type: 'text/plain' });
  });

  it('a message to someone who is online is pushed in clear and kept as a ciphertext', async () => {
    const [bob, canary, msgId] = [unique('bob'), unique('canary'), unique('msg')];
    await system.gateway.connect(bob, 'phone');
    const answer = await system.send(unique('alice'), bob, canary, msgId);
    expect(answer).toMatchObject({ success: true, status: 'delivered' });
    expect((await system.gateway.received(bob, 1))[0]?.content).toBe(canary);
    expect(await recordOf(TOPICS.delivered, msgId)).not.toContain(canary);
    expect((await stored(msgId))?.content).not.toContain(canary);
  });

  it('messages of before are delivered as they were, and one that was tampered with as unreadable', async () => {
    const [bob, alice] = [unique('bob'), unique('alice')];
    const plain = await startSystem({ ENCRYPTION: 'off' });
    const [before, tampered, after] = [unique('msg'), unique('msg'), unique('msg')];
    try {
      await plain.send(alice, bob, 'before', before);
    } finally {
      await plain.close();
    }
    await system.send(alice, bob, 'tampered', tampered);
    await system.send(alice, bob, 'after', after);
    const row = await stored(tampered);
    await stored(after);
    await stored(before);
    await db.execute('UPDATE messages SET content = ? WHERE msg_id = ?', [
      (row?.content ?? '').slice(0, -2),
      tampered,
    ]);
    await system.gateway.connect(bob, 'phone');
    const pushes = await system.gateway.received(bob, 3, 30_000);
    expect(pushes.map((push) => [push.content, push.message_type])).toEqual([
      ['before', 'text/plain'],
      ['', 'application/vnd.im.unreadable'],
      ['after', 'text/plain'],
    ]);
  });

  it('a sender whose key cannot be unwrapped is refused with ENCRYPTION_ERROR, and nothing is stored', async () => {
    const [alice, bob, msgId] = [unique('alice'), unique('bob'), unique('msg')];
    // The key is made under a master key that this server does not have.
    const other = await openEncryption(db, encryptionOn('elsewhere'));
    await other.keys.current(alice);
    const answer = await system.send(alice, bob, 'secret', msgId);
    expect(answer).toMatchObject({ success: false, status: 'failed', code: 'ENCRYPTION_ERROR' });
    // Nor is it pushed, or told a group.
    await system.gateway.connect(bob, 'phone');
    expect(await system.send(alice, bob, 'secret')).toMatchObject({ code: 'ENCRYPTION_ERROR' });
    const group = await TestGroup.make(system, [alice, bob]);
    expect(await group.send(alice, 'secret')).toMatchObject({ code: 'ENCRYPTION_ERROR' });
    expect(await group.send(bob, 'well')).toMatchObject({ success: true, status: 'published' });
    expect(system.gateway.pushesOf(bob)).toEqual([]);
    expect(await db.select('SELECT 1 FROM messages WHERE msg_id = ?', [msgId])).toEqual([]);
  });
});
