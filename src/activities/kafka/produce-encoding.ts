/**
 * The bytes of a Produce request, written in one pass into one buffer.
 *
 * kafkajs makes an encoder with a zeroed buffer for each record and several for each partition, and
 * reckons with `BigInt` objects: with the partitioner that was more than a tenth of the server's work
 * (bench/NOTES.md). The bytes are the same, which a test compares. What we never send, such as transactions
 * or compression, is still encoded by kafkajs.
 */
import { crc32c } from './crc32c';

interface Message {
  readonly key?: unknown;
  readonly value?: unknown;
  readonly timestamp?: unknown;
  readonly headers?: Readonly<Record<string, unknown>>;
}

/** What kafkajs hands to its encoder. */
export interface ProduceRequest {
  readonly acks: number;
  readonly timeout: number;
  readonly transactionalId?: string | null;
  readonly producerId?: unknown;
  readonly producerEpoch?: number;
  readonly compression?: number;
  readonly topicData: readonly {
    readonly topic: string;
    readonly partitions: readonly {
      readonly partition: number;
      readonly firstSequence?: number;
      readonly messages: readonly Message[];
    }[];
  }[];
}

/** Of a batch, from its base offset to the number of its records. */
const BATCH_HEAD = 61;
/** Of those, what comes before what its length counts, and before what its checksum covers. */
const LENGTH_END = 12;
const CHECKED_FROM = 21;

/** The request after its header, or `undefined` when it has something that only kafkajs can write. */
export function encodeProduce(request: ProduceRequest, now: number): Buffer | undefined {
  const { acks, timeout, transactionalId, producerId = -1, compression = 0, topicData } = request;
  if (transactionalId || producerId !== -1 || compression !== 0) return undefined;
  const bodies: number[] = [];
  let size = 2 + 2 + 4 + 4;
  for (const { topic, partitions } of topicData) {
    size += 2 + Buffer.byteLength(topic) + 4;
    for (const { messages } of partitions) {
      size += 4 + 4 + BATCH_HEAD;
      for (let i = 0; i < messages.length; i++) {
        const body = bodySize(messages[i] as Message, i);
        if (body === undefined) return undefined;
        bodies.push(body);
        size += varintSize(body) + body;
      }
    }
  }
  const out = new Writer(size);
  let next = 0;
  out.int16(-1); // No transaction.
  out.int16(acks);
  out.int32(timeout);
  out.int32(topicData.length);
  for (const { topic, partitions } of topicData) {
    out.int16(Buffer.byteLength(topic));
    out.bytes(topic);
    out.int32(partitions.length);
    for (const { partition, messages } of partitions) {
      out.int32(partition);
      next = writeBatch(out, messages, bodies, next, now);
    }
  }
  return out.buf;
}

/** Writes a partition's records, whose sizes are at `next` in `bodies`; returns where the others' are. */
function writeBatch(
  out: Writer,
  messages: readonly Message[],
  bodies: readonly number[],
  next: number,
  now: number,
): number {
  const sizeAt = out.at;
  out.int32(0);
  const start = out.at;
  out.int64(0); // Base offset: the broker's affair, as the leader's epoch is.
  out.int32(0); // Length, below.
  out.int32(0);
  out.int8(2); // The format's version.
  out.int32(0); // Checksum, below.
  out.int16(0); // No compression, no transaction; the time is ours.
  out.int32(messages.length - 1);
  out.int64(now);
  out.int64(now);
  out.int32(-1); // No producer's id, in eight bytes.
  out.int32(-1);
  out.int16(0);
  out.int32(0);
  out.int32(messages.length);
  for (let i = 0; i < messages.length; i++) {
    writeRecord(out, messages[i] as Message, bodies[next++] as number, i);
  }
  const { buf, at } = out;
  buf.writeInt32BE(at - start, sizeAt);
  buf.writeInt32BE(at - start - LENGTH_END, start + LENGTH_END - 4);
  buf.writeUInt32BE(crc32c(buf, start + CHECKED_FROM, at), start + CHECKED_FROM - 4);
  return next;
}

function writeRecord(out: Writer, message: Message, body: number, offset: number): void {
  out.varint(body);
  out.int8(0);
  out.varint(0); // All records of a batch have its time.
  out.varint(offset);
  out.sized(message.key as Bytes);
  out.sized(message.value as Bytes);
  const { headers } = message;
  if (!headers) {
    out.varint(0);
    return;
  }
  const names = Object.keys(headers);
  out.varint(names.length);
  for (const name of names) {
    out.sized(name);
    out.sized(headers[name] as Bytes);
  }
}

type Bytes = string | Buffer;

/** Bytes of a record without its length; `undefined` when it has what we do not write. */
function bodySize({ key, value, timestamp, headers }: Message, offset: number): number | undefined {
  if (timestamp !== undefined && timestamp !== null) return undefined;
  if (!isBytes(key) || !isBytes(value)) return undefined;
  let size = 1 + 1 + varintSize(offset) + sizedBytes(key) + sizedBytes(value);
  if (!headers) return size + 1;
  const names = Object.keys(headers);
  size += varintSize(names.length);
  for (const name of names) {
    const header = headers[name];
    if (!isBytes(header)) return undefined;
    size += sizedBytes(name) + sizedBytes(header);
  }
  return size;
}

function isBytes(value: unknown): value is Bytes {
  return typeof value === 'string' || Buffer.isBuffer(value);
}

function sizedBytes(value: Bytes): number {
  const bytes = Buffer.byteLength(value);
  return varintSize(bytes) + bytes;
}

/** Numbers from 0 are doubled: the lowest bit is the sign. */
function varintSize(value: number): number {
  let rest = value * 2;
  let bytes = 1;
  while (rest > 0x7f) {
    rest = Math.floor(rest / 128);
    bytes += 1;
  }
  return bytes;
}

class Writer {
  readonly buf: Buffer;
  at = 0;

  constructor(size: number) {
    this.buf = Buffer.allocUnsafe(size);
  }

  int8(value: number): void {
    this.at = this.buf.writeInt8(value, this.at);
  }

  int16(value: number): void {
    this.at = this.buf.writeInt16BE(value, this.at);
  }

  int32(value: number): void {
    this.at = this.buf.writeInt32BE(value, this.at);
  }

  /** From 0 to 2^53. */
  int64(value: number): void {
    this.at = this.buf.writeUInt32BE(Math.floor(value / 0x1_0000_0000), this.at);
    this.at = this.buf.writeUInt32BE(value % 0x1_0000_0000, this.at);
  }

  /** From 0. */
  varint(value: number): void {
    let rest = value * 2;
    while (rest > 0x7f) {
      this.buf[this.at++] = (rest % 128) | 0x80;
      rest = Math.floor(rest / 128);
    }
    this.buf[this.at++] = rest;
  }

  bytes(value: Bytes): void {
    this.at +=
      typeof value === 'string' ? this.buf.write(value, this.at) : value.copy(this.buf, this.at);
  }

  sized(value: Bytes): void {
    this.varint(Buffer.byteLength(value));
    this.bytes(value);
  }
}
