/**
 * Brokers of a Kafka cluster as far as a producer can see them: over sockets, with leaders that move.
 * Our own stack has one broker, which leads everything for ever.
 */
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { sleep } from '../../src/activities/sleep';

/** kafkajs's reader of the wire format; it has no types. */
interface Decoder {
  readInt16(): number;
  readInt32(): number;
  readString(): string | null;
  readBytes(): Buffer;
  readArray<T>(read: (decoder: Decoder) => T): T[];
}

/* eslint-disable @typescript-eslint/no-require-imports */
const DecoderOf = require('kafkajs/src/protocol/decoder') as new (bytes: Buffer) => Decoder;
const decodeBatch = require('kafkajs/src/protocol/recordBatch/v0/decoder') as (
  decoder: Decoder,
) => Promise<{ records: { value: Buffer }[] }>;
/* eslint-enable @typescript-eslint/no-require-imports */

const PRODUCE = 0;
const METADATA = 3;
const API_VERSIONS = 18;
/** [api, version] */
const SPOKEN = [
  [PRODUCE, 7],
  [METADATA, 1],
  [API_VERSIONS, 2],
] as const;

export const NO_ERROR = 0;
export const NOT_LEADER = 6;
export const TOO_LARGE = 10;

export interface StoredValue {
  readonly broker: number;
  readonly partition: number;
  readonly value: string;
}

export interface FakeTopic {
  readonly topic: string;
  /** Which broker leads each partition, as metadata say it. */
  leaders: number[];
}

export class FakeKafka {
  readonly stored: StoredValue[] = [];
  /** How long brokers take to answer for metadata, ms. */
  metadataMs = 0;
  /** What a broker does with records for a partition: a code, or it closes the connection. */
  produced: (broker: number, partition: number, values: string[]) => number | 'close' = () =>
    NO_ERROR;

  private readonly servers: Server[] = [];
  private readonly sockets = new Set<Socket>();

  /** Brokers are numbered from 1. */
  constructor(
    private readonly brokers: number,
    readonly metadata: FakeTopic,
  ) {}

  get addresses(): string[] {
    return this.ports.map((port) => `127.0.0.1:${port}`);
  }

  async open(): Promise<void> {
    for (let id = 1; id <= this.brokers; id++) {
      const server = createServer((socket) => this.serve(id, socket)).listen(0, '127.0.0.1');
      this.servers.push(server);
      await once(server, 'listening');
    }
  }

  async close(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    for (const server of this.servers) {
      server.close();
      await once(server, 'close');
    }
  }

  private get ports(): number[] {
    return this.servers.map((server) => (server.address() as AddressInfo).port);
  }

  private serve(id: number, socket: Socket): void {
    this.sockets.add(socket);
    // Tests end connections as they like.
    socket.on('error', () => socket.destroy());
    let read = Buffer.alloc(0);
    // Requests of a connection are answered one after the other, as Kafka does.
    let before = Promise.resolve();
    socket.on('data', (chunk) => {
      read = Buffer.concat([read, chunk]);
      while (read.length >= 4 && read.length >= 4 + read.readInt32BE(0)) {
        const end = 4 + read.readInt32BE(0);
        const request = new DecoderOf(read.subarray(4, end));
        read = read.subarray(end);
        before = before.then(() => this.answer(id, request, socket));
      }
    });
  }

  private async answer(id: number, request: Decoder, socket: Socket): Promise<void> {
    const api = request.readInt16();
    request.readInt16();
    const correlation = int32(request.readInt32());
    request.readString();
    const body = await this.bodyOf(api, id, request);
    if (body === undefined) {
      socket.destroy();
      return;
    }
    socket.write(Buffer.concat([int32(4 + body.length), correlation, body]));
  }

  private async bodyOf(api: number, id: number, request: Decoder): Promise<Buffer | undefined> {
    if (api === PRODUCE) return this.produce(id, request);
    if (api === METADATA) {
      if (this.metadataMs > 0) await sleep(this.metadataMs);
      return this.metadataBody();
    }
    const versions = array(SPOKEN, ([key, version]) =>
      Buffer.concat([int16(key), int16(version), int16(version)]),
    );
    return Buffer.concat([int16(NO_ERROR), versions, int32(0)]);
  }

  private metadataBody(): Buffer {
    const { topic, leaders } = this.metadata;
    const brokers = array(this.ports, (port, i) =>
      Buffer.concat([int32(i + 1), text('127.0.0.1'), int32(port), int16(-1)]),
    );
    const partitions = array(leaders, (leader, partition) =>
      Buffer.concat([int16(0), int32(partition), int32(leader), int32(0), int32(0)]),
    );
    const topics = array([topic], (name) =>
      Buffer.concat([int16(NO_ERROR), text(name), Buffer.from([0]), partitions]),
    );
    return Buffer.concat([brokers, int32(1), topics]);
  }

  private async produce(broker: number, request: Decoder): Promise<Buffer | undefined> {
    request.readString();
    request.readInt16();
    request.readInt32();
    const topics = request.readArray((t) => ({
      topic: t.readString() ?? '',
      partitions: t.readArray((p) => ({ partition: p.readInt32(), batch: p.readBytes() })),
    }));
    const answers: Buffer[] = [];
    for (const { topic, partitions } of topics) {
      const codes: Buffer[] = [];
      for (const { partition, batch } of partitions) {
        const { records } = await decodeBatch(new DecoderOf(batch));
        const values = records.map(({ value }) => value.toString());
        const code = this.produced(broker, partition, values);
        if (code === 'close') return undefined;
        if (code === NO_ERROR) {
          this.stored.push(...values.map((value) => ({ broker, partition, value })));
        }
        // Base offset, time and first offset are of no interest.
        codes.push(Buffer.concat([int32(partition), int16(code), Buffer.alloc(24)]));
      }
      answers.push(Buffer.concat([text(topic), array(codes, (each) => each)]));
    }
    return Buffer.concat([array(answers, (each) => each), int32(0)]);
  }
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}

function array<T>(items: readonly T[], encode: (item: T, i: number) => Buffer): Buffer {
  return Buffer.concat([int32(items.length), ...items.map(encode)]);
}
