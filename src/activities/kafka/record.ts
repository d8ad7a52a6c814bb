/** A record for Kafka, and the same on its way. */

export interface KafkaRecord {
  readonly key: string;
  readonly value: string | Buffer;
  readonly headers?: Record<string, string>;
}

/** Bytes of a record, but for a few of framing. */
export function bytesOf({ key, value, headers }: KafkaRecord): number {
  let bytes = Buffer.byteLength(key) + Buffer.byteLength(value);
  for (const name in headers) {
    bytes += Buffer.byteLength(name) + Buffer.byteLength(headers[name] as string);
  }
  return bytes;
}

/** Kafka's codes of an answer for a partition. */
const STORED = 0;
const TOO_LARGE = 10;

/** What kafkajs gets of a record of one append; its own, for a record may be appended again. */
export class OutgoingRecord implements KafkaRecord {
  readonly key: string;
  readonly value: string | Buffer;
  readonly headers: Record<string, string> | undefined;
  private code: number | undefined;

  /** `until`: it is not sent after this, by `performance.now()`. */
  constructor(
    record: KafkaRecord,
    readonly until: number,
  ) {
    this.key = record.key;
    this.value = record.value;
    this.headers = record.headers;
  }

  get isStored(): boolean {
    return this.code === STORED;
  }

  get isTooLarge(): boolean {
    return this.code === TOO_LARGE;
  }

  /** What a leader of its partition has answered. Stored once is stored, whatever a later one says. */
  answered(code: number): void {
    if (this.code !== STORED) this.code = code;
  }
}
