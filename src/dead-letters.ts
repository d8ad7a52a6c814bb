/** `npm run dead-letters -- TOPIC [OFFSET]`: what was put aside and why, for operators who repair. */
import { createKafka } from './activities/kafka/client';
import { PartitionReader } from './activities/kafka/partition-reader';
import type { StoredRecord } from './activities/kafka/partition-reader';
import { deadLetterTopic, TOPICS } from './activities/kafka/topics';
import { Database } from './activities/mysql/database';
import { erasedAmong } from './activities/mysql/erased-messages';
import { ConfigError, loadConfig } from './config';
import type { Config } from './config';
import { messageOf } from './domain/errors';
import { createEncryption } from './encryption';
import { createLogger } from './logger';
import { createMetrics } from './metrics';
import { messageIdIn, openDeadLetter } from './routing/dead-letters';

const WITH_DEAD_LETTERS: readonly string[] = [
  TOPICS.offline,
  TOPICS.delivered,
  TOPICS.group,
  TOPICS.membership,
];

const USAGE = `Usage: npm run dead-letters -- TOPIC [OFFSET]

  TOPIC          one of ${WITH_DEAD_LETTERS.join(', ')}: lists its dead letters, without their content
  TOPIC OFFSET   prints one of them as it was before it was put aside, decrypted`;

const EXIT_FAILED = 1;
const EXIT_USAGE = 2;
const KAFKA_DEADLINE_MS = 10_000;

class UsageError extends Error {}

const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Runs the command; resolves with the exit code. */
export async function runDeadLetters(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<number> {
  const [topic = '', offset, ...rest] = args;
  if (!WITH_DEAD_LETTERS.includes(topic)) throw new UsageError('TOPIC is missing or not known.');
  if (rest.length > 0) throw new UsageError('too many words.');
  const config = loadConfig(env);
  if (offset === undefined) return list(config, topic);
  if (!/^\d+$/.test(offset)) throw new UsageError('OFFSET is not a whole number.');
  return show(config, topic, Number(offset));
}

async function list(config: Config, topic: string): Promise<number> {
  await readLetters(config, topic, 0, ({ offset, timestamp, key, value, headers }) => {
    const time = new Date(timestamp).toISOString();
    const place = `${headers['source_partition']}/${headers['source_offset']}`;
    const sealed = headers['sealed'] ?? headers['omitted'] ?? 'clear';
    say([offset, time, place, key, `${value.length} bytes`, sealed, headers['reason']].join('\t'));
  });
  return 0;
}

async function show(config: Config, topic: string, offset: number): Promise<number> {
  let found: StoredRecord | undefined;
  await readLetters(config, topic, offset, (record) => {
    if (record.offset === offset) found = record;
  });
  if (!found) throw new Error(`there is no dead letter ${offset}`);
  const database = Database.open({
    url: config.MYSQL_URL,
    connections: 1,
    deadlineMs: config.IM_MYSQL_DEADLINE_MS,
  });
  try {
    const log = createLogger('error', 'dead-letters');
    const { content } = createEncryption(config, database, { metrics: createMetrics(), log });
    const letter = await openDeadLetter(topic, found, content);
    const msgId = messageIdIn(topic, letter);
    // The copy on Kafka goes with its topic's time; until then nobody is shown it.
    if (msgId !== undefined && (await erasedAmong(database, [msgId])).size > 0) {
      throw new Error('the message was deleted for good');
    }
    process.stdout.write(letter);
    say('');
    return 0;
  } finally {
    await database.close();
  }
}

async function readLetters(
  config: Config,
  topic: string,
  from: number,
  take: (record: StoredRecord) => void,
): Promise<void> {
  const kafka = createKafka({
    brokers: config.KAFKA_BROKERS,
    clientId: config.IM_KAFKA_CLIENT_ID,
    deadlineMs: KAFKA_DEADLINE_MS,
    log: createLogger('error', 'dead-letters'),
  });
  const reader = new PartitionReader(kafka, config.IM_KAFKA_CLIENT_ID);
  const partitions = await reader.partitionsOf(deadLetterTopic(topic));
  for (let partition = 0; partition < partitions; partition++) {
    const range = { topic: deadLetterTopic(topic), partition, from: { offset: from } };
    await reader.read(range, take);
  }
}

async function main(): Promise<void> {
  try {
    process.exitCode = await runDeadLetters(process.argv.slice(2), process.env);
  } catch (error) {
    const misused = error instanceof UsageError;
    process.stderr.write(`dead-letters: ${messageOf(error)}\n${misused ? `\n${USAGE}\n` : ''}`);
    process.exitCode = misused || error instanceof ConfigError ? EXIT_USAGE : EXIT_FAILED;
  }
}

if (require.main === module) void main();
