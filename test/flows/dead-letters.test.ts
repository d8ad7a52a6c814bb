/** What is put aside, with encryption on and off, and how operators read it. */
import { randomUUID } from 'node:crypto';
import type { Kafka } from 'kafkajs';
import type { BatchingProducer } from '../../src/activities/kafka/producer';
import {
  deadLetterTopic,
  ensureTopics,
  TOPICS,
  topicSpecs,
} from '../../src/activities/kafka/topics';
import type { Database } from '../../src/activities/mysql/database';
import { runDeadLetters } from '../../src/dead-letters';
import { encodeGroup } from '../../src/domain/group-records';
import { groupConversation } from '../../src/domain/ids';
import { encodeOffline } from '../../src/domain/records';
import { DeadLetters } from '../../src/routing/dead-letters';
import { encryptionOn, openEncryption } from '../support/encryption';
import type { TestEncryption } from '../support/encryption';
import { unique } from '../support/ids';
import { connectKafka, createProducer, log, readUntil } from '../support/kafka';
import { openDatabase } from '../support/mysql';
import { message } from '../support/records';
import { testConfig } from '../support/system';

const REASON = 'msg_id belongs to another message';

describe('a dead letter', () => {
  let kafka: Kafka;
  let producer: BatchingProducer;
  let db: Database;
  let encryption: TestEncryption;
  let letters: DeadLetters;

  beforeAll(async () => {
    kafka = connectKafka();
    await ensureTopics(kafka, topicSpecs(testConfig()), {
      replication: 1,
      deadlineMs: 40_000,
      log,
    });
    producer = await createProducer(kafka);
    db = await openDatabase();
    encryption = await openEncryption(db, encryptionOn());
    letters = new DeadLetters({ producer, keys: encryption.content });
  }, 60_000);
  afterAll(async () => {
    await producer.close();
    await db.close();
  });

  const bury = async (box: DeadLetters, topic: string, value: string | Buffer, reason = REASON) => {
    const key = randomUUID();
    await box.bury({
      topic,
      partition: 3,
      offset: '41',
      timestamp: Date.now(),
      key,
      value: Buffer.from(value),
      reason,
    });
    return readUntil(kafka, deadLetterTopic(topic), (record) => record.key === key);
  };
  const command = async (...args: string[]) => {
    const written: string[] = [];
    const spy = jest.spyOn(process.stdout, 'write').mockImplementation((text) => {
      written.push(String(text));
      return true;
    });
    try {
      await runDeadLetters(args, { ...process.env, ...encryptionOn() });
    } finally {
      spy.mockRestore();
    }
    return written.join('');
  };
  /** As an operator does: find it in the list, then ask for it. */
  const shown = async (topic: string, key: string) => {
    const line = (await command(topic)).split('\n').find((each) => each.includes(key));
    expect(line).toContain('3/41');
    return (await command(topic, line?.split('\t')[0] ?? '')).trimEnd();
  };

  it('of a message has its content under the sender’s key, and is gone with that key', async () => {
    const sent = message({ content: 'canary' });
    const value = encodeOffline(sent, sent.recipientId);
    const dead = await bury(letters, TOPICS.offline, value);
    expect(dead.value).not.toContain('canary');
    expect(dead.headers).toMatchObject({ reason: REASON, sealed: 'content', source_offset: '41' });
    expect(JSON.parse(await shown(TOPICS.offline, dead.key))).toMatchObject({
      msg_id: sent.msgId,
      content: 'canary',
    });
    await encryption.rows.destroy(sent.senderId);
    await expect(shown(TOPICS.offline, dead.key)).rejects.toThrow('keyless');
  });

  it('of a group message too, though that is in clear on its topic', async () => {
    const sent = message({ conversation: groupConversation(unique('group')), content: 'canary' });
    const dead = await bury(letters, TOPICS.group, encodeGroup(sent));
    expect(dead.value).not.toContain('canary');
    expect(JSON.parse(await shown(TOPICS.group, dead.key))).toEqual(JSON.parse(encodeGroup(sent)));
  });

  it.each([
    ['that is no JSON', '{"content":"canary"'],
    ['without a sender', '{"content":"canary","msg_id":"m"}'],
    ['that is not even text', Buffer.from([0xff, 0xfe, ...Buffer.from('canary'), 0x00])],
  ])(
    'of poison %s is sealed as a whole, and opens as it was',
    async (_, poison) => {
      for (const topic of [TOPICS.group, TOPICS.offline, TOPICS.delivered, TOPICS.membership]) {
        const dead = await bury(letters, topic, poison, 'the value is not JSON');
        expect(dead.value).not.toContain('canary');
        expect(dead.value).not.toContain(Buffer.from(poison).toString('base64').slice(0, 12));
        expect(dead.headers).toMatchObject({ sealed: 'record', source_partition: '3' });
        const opened = await shown(topic, dead.key);
        expect(opened).toBe(Buffer.from(poison).toString().trimEnd());
      }
    },
    120_000,
  );

  it('that is too large to be copied is named by its place, size and digest', async () => {
    const dead = await bury(letters, TOPICS.group, 'canary'.repeat(100_000));
    expect(dead.value).toBe('');
    expect(dead.headers).toMatchObject({
      omitted: 'too large',
      size: '600000',
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      source_offset: '41',
    });
  });

  it('stays as it was with encryption off', async () => {
    const open = new DeadLetters({ producer, keys: undefined });
    const dead = await bury(open, TOPICS.group, '{"content":"canary"');
    expect(dead.value).toBe('{"content":"canary"');
    expect(await shown(TOPICS.group, dead.key)).toBe('{"content":"canary"');
  });

  it('is not written at all while there is no key to seal it', async () => {
    const seal = () => Promise.reject(new Error('no keys'));
    const box = new DeadLetters({ producer, keys: { seal } });
    await expect(bury(box, TOPICS.group, 'canary')).rejects.toThrow('no keys');
  });
});
