/**
 * What we change in kafkajs's Produce requests, for all clients of the process: it has no setting for
 * any of it. Leaders, connections and framing stay its own.
 *
 * Their bytes are ours (produce-encoding.ts). One whose records are past their time is not sent: kafkajs
 * may have waited for a connection or for metadata. And each record hears what its partition's leader
 * answered: kafkajs says only whether an append as a whole failed, and after a leader has moved says
 * that it did not while a partition was left out (its issue #1303).
 */
import { encodeProduce } from './produce-encoding';
import type { ProduceRequest } from './produce-encoding';
import { OutgoingRecord } from './record';

/** What stands for one of kafkajs's encoders. */
interface Encoded {
  readonly buf: Buffer;
  readonly buffer: Buffer;
}

interface Answer {
  readonly topics: readonly {
    readonly topicName: string;
    readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[];
  }[];
}

type Protocol = (request: ProduceRequest) => {
  /** Made for this request alone, unlike the response. */
  readonly request: { encode: () => Promise<Encoded> };
  readonly response: {
    readonly decode: (bytes: Buffer) => Promise<Answer>;
    readonly parse: (answer: Answer) => Promise<unknown>;
  };
};

interface Produce {
  protocol(options: { version: number }): Protocol | undefined;
}

/** Versions of the request whose bytes are these: they differ in the answer only. */
const FIRST_VERSION = 3;
const LAST_VERSION = 7;

const changed = new WeakSet<Produce>();

export function changeProduceRequests(): void {
  // It has no types inside.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const produce = require('kafkajs/src/protocol/requests/produce') as Produce;
  if (changed.has(produce)) return;
  changed.add(produce);
  const original = produce.protocol.bind(produce);
  produce.protocol = ({ version }) => {
    const protocol = original({ version });
    if (!protocol) return protocol;
    const ours = version >= FIRST_VERSION && version <= LAST_VERSION;
    return (asked) => {
      const { request, response } = protocol(asked);
      const { encode } = request;
      request.encode = (): Promise<Encoded> => {
        if (isLate(asked)) return Promise.reject(new Error('too late to be sent'));
        const bytes = ours ? encodeProduce(asked, Date.now()) : undefined;
        return bytes ? Promise.resolve({ buf: bytes, buffer: bytes }) : encode();
      };
      const parse = (answer: Answer): Promise<unknown> => {
        tellRecords(asked, answer);
        return response.parse(answer);
      };
      return { request, response: { decode: response.decode, parse } };
    };
  };
}

/** All records of a request are of one append. */
function isLate({ topicData }: ProduceRequest): boolean {
  const first = topicData[0]?.partitions[0]?.messages[0];
  return first instanceof OutgoingRecord && performance.now() >= first.until;
}

function tellRecords({ topicData }: ProduceRequest, answer: Answer): void {
  for (const { topic, partitions } of topicData) {
    const answers = answer.topics.find(({ topicName }) => topicName === topic)?.partitions ?? [];
    const codes = new Map(answers.map(({ partition, errorCode }) => [partition, errorCode]));
    for (const { partition, messages } of partitions) {
      const code = codes.get(partition);
      if (code === undefined) continue;
      for (const message of messages) {
        if (message instanceof OutgoingRecord) message.answered(code);
      }
    }
  }
}
