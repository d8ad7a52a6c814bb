/**
 * Where records go that cannot be handled: `{topic}.dlq`, for a week, for people to look at and repair.
 *
 * A dead letter is a copy that lies longer than its original (an hour on `group_msg`), so with
 * encryption on nothing of it lies there in clear. Of a message the content is sealed under its
 * sender's key, as everywhere: destroying the key destroys the dead letter too. Poison belongs to
 * nobody that we can tell, so it is sealed whole under a key of the service's own: operators can still
 * open it (`npm run dead-letters`), and it is gone with the topic's week.
 */
import { createHash } from 'node:crypto';
import type { BatchingProducer } from '../activities/kafka/producer';
import { deadLetterTopic, TOPICS } from '../activities/kafka/topics';
import type { DeadLetter, Sealed } from '../domain/dead-letter';
import { SEALED_HEADER } from '../domain/dead-letter';
import { ImError } from '../domain/errors';
import { decodeGroup } from '../domain/group-records';
import type { SequencedMessage } from '../domain/message';
import { decodeDelivered, decodeOffline, parseObject, PoisonRecordError } from '../domain/records';
import type { ContentKeys } from './content-keys';

/** Larger records are not copied: sealed, in base64 twice, this is what Kafka's 1 MB takes. */
const MAX_BYTES = 512 * 1024;
/** No user's id, since it has a "/". */
const OWNER = 'im/dead-letters';

export interface DeadLettersDeps {
  readonly producer: Pick<BatchingProducer, 'append'>;
  /** `undefined`: dead letters are kept in clear, like messages. */
  readonly keys: Pick<ContentKeys, 'seal'> | undefined;
}

/** What is kept of a record. */
interface Kept {
  readonly value: string | Buffer;
  readonly headers: Record<string, string>;
}

export class DeadLetters {
  constructor(private readonly deps: DeadLettersDeps) {}

  /** Rejects when Kafka does not take it, or with ENCRYPTION_ERROR: then the record is still to be handled. */
  async bury(letter: DeadLetter): Promise<void> {
    const { value, headers } = await this.kept(letter);
    await this.deps.producer.append(deadLetterTopic(letter.topic), {
      key: letter.key,
      value,
      headers: {
        reason: letter.reason,
        source_topic: letter.topic,
        source_partition: String(letter.partition),
        source_offset: letter.offset,
        ...headers,
      },
    });
  }

  private async kept(letter: DeadLetter): Promise<Kept> {
    const { keys } = this.deps;
    const { value } = letter;
    if (value.length > MAX_BYTES) return fingerprint(value);
    if (!keys) return { value, headers: {} };
    const message = messageIn(letter);
    if (message?.encoding === 'jwe') return { value, headers: sealedHeader('content') };
    if (message) {
      const { content, encoding } = await keys.seal(message);
      const fields = { ...parseObject(value.toString()), content, content_encoding: encoding };
      return { value: JSON.stringify(fields), headers: sealedHeader('content') };
    }
    const whole = await keys.seal(poisonAsMessage(letter, value.toString('base64')));
    return { value: whole.content, headers: sealedHeader('record') };
  }
}

/** A dead letter of `topic` as the record was before it was put aside. Rejects when it does not open. */
export async function openDeadLetter(
  topic: string,
  letter: {
    readonly value: Buffer;
    readonly timestamp: number;
    readonly headers: Readonly<Record<string, string>>;
  },
  keys: Pick<ContentKeys, 'open'>,
): Promise<Buffer> {
  const { value, timestamp, headers } = letter;
  const sealed = headers[SEALED_HEADER];
  if (sealed === undefined) return value;
  if (sealed === 'record') {
    const place = {
      topic,
      partition: Number(headers['source_partition']),
      offset: headers['source_offset'] ?? '',
    };
    const jwe = { ...poisonAsMessage(place, value.toString()), encoding: 'jwe' as const };
    return Buffer.from(await open(jwe, keys), 'base64');
  }
  const message = messageIn({ topic, value, timestamp });
  if (!message) throw new Error('it is not the message it was');
  // JSON has no `undefined`: the field is left out.
  const plain = { content: await open(message, keys), content_encoding: undefined };
  return Buffer.from(JSON.stringify({ ...parseObject(value.toString()), ...plain }));
}

async function open(message: SequencedMessage, keys: Pick<ContentKeys, 'open'>): Promise<string> {
  const [opened] = await keys.open([message]);
  if (!opened || opened.unreadable) {
    throw new ImError('ENCRYPTION_ERROR', `it does not open: ${opened?.unreadable ?? 'lost'}`);
  }
  return opened.content;
}

/**
 * A dead letter of poison as what sealed it sees it; `content` is the value in base64, or its JWE. It
 * opens at the place it came from alone.
 */
function poisonAsMessage(
  { topic, partition, offset }: Pick<DeadLetter, 'topic' | 'partition' | 'offset'>,
  content: string,
): SequencedMessage {
  return {
    msgId: `${topic}/${partition}/${offset}`,
    senderId: OWNER,
    conversation: { type: 'group', key: OWNER, id: OWNER },
    content,
    timestamp: 0,
    metadata: {},
    sequenceNumber: 0,
    acceptedAt: 0,
  };
}

/** The id of the message that a record, sealed or not, was about; `undefined` where it was about none. */
export function messageIdIn(topic: string, value: Buffer): string | undefined {
  return messageIn({ topic, value, timestamp: 0 })?.msgId;
}

/** The message of a record, if it is one and its topic carries any. */
function messageIn({
  topic,
  value,
  timestamp,
}: Pick<DeadLetter, 'topic' | 'value' | 'timestamp'>): SequencedMessage | undefined {
  const text = value.toString();
  try {
    if (topic === TOPICS.offline) return decodeOffline(text).message;
    if (topic === TOPICS.delivered) return decodeDelivered(text).message;
    if (topic === TOPICS.group) return withEncoding(decodeGroup(text, timestamp), text);
    return undefined;
  } catch (error) {
    if (!(error instanceof PoisonRecordError)) throw error;
    return undefined;
  }
}

/** On `group_msg` content is never encrypted, on its dead letters it is. */
function withEncoding(message: SequencedMessage, text: string): SequencedMessage {
  return parseObject(text)['content_encoding'] === 'jwe'
    ? { ...message, encoding: 'jwe' }
    : message;
}

function sealedHeader(sealed: Sealed): Record<string, string> {
  return { [SEALED_HEADER]: sealed };
}

/** Of what is too large only this is kept, and its place; the original stays on its topic for its time. */
function fingerprint(value: Buffer): Kept {
  return {
    value: '',
    headers: {
      omitted: 'too large',
      size: String(value.length),
      sha256: createHash('sha256').update(value).digest('hex'),
    },
  };
}
