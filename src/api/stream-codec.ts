/**
 * RouteRequests and RouteResponses on the wire (proto/api/v1/im_stream.proto), by hand: at the rate of a
 * stream the general codec would be a good part of a message's cost, and one request that cannot be
 * read must not take the others with it.
 */
import { isUtf8 } from 'node:buffer';
import { Reader, Writer } from 'protobufjs/minimal';
import type { Answer, GroupRequest, PrivateRequest } from './route-calls';

export type StreamRequest =
  | { readonly kind: 'private'; readonly message: PrivateRequest }
  | { readonly kind: 'group'; readonly message: GroupRequest }
  | { readonly kind: 'unreadable'; readonly problem: string };

export interface StreamAnswer {
  /** Counted from 1. */
  readonly number: number;
  readonly request: StreamRequest;
  readonly answer: Answer;
}

const VARINT = 0;
const LENGTH_DELIMITED = 2;
const REPLACEMENT = '\uFFFD';

/** A field's number and wire type as they stand before it. */
function tagOf(field: number, wireType: number): number {
  return field * 8 + wireType;
}

const REQUESTS = tagOf(1, LENGTH_DELIMITED);
const PRIVATE_MESSAGE = tagOf(1, LENGTH_DELIMITED);
const GROUP_MESSAGE = tagOf(2, LENGTH_DELIMITED);
const MSG_ID = tagOf(1, LENGTH_DELIMITED);
const SENDER_ID = tagOf(2, LENGTH_DELIMITED);
/** recipient_id or group_id. */
const TARGET_ID = tagOf(3, LENGTH_DELIMITED);
const CONTENT = tagOf(4, LENGTH_DELIMITED);
const TIMESTAMP = tagOf(5, VARINT);
const METADATA = tagOf(6, LENGTH_DELIMITED);
const KEY = tagOf(1, LENGTH_DELIMITED);
const VALUE = tagOf(2, LENGTH_DELIMITED);

/** The requests of one message of the stream, read one by one, as there is room for them. */
export class RequestBatch {
  private readonly reader: Reader;

  constructor(bytes: Buffer) {
    this.reader = Reader.create(bytes);
  }

  /** The next request; `undefined` at the end. Throws when requests cannot be told apart any more. */
  next(): StreamRequest | undefined {
    const { reader } = this;
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag !== REQUESTS) {
        reader.skipType(tag & 7);
        continue;
      }
      const bytes = reader.bytes();
      try {
        return readRequest(bytes);
      } catch {
        // Its end is known all the same: the others are read.
        return { kind: 'unreadable', problem: 'this is no RouteRequest' };
      }
    }
    return undefined;
  }
}

function readRequest(bytes: Uint8Array): StreamRequest {
  const reader = Reader.create(bytes);
  let request: StreamRequest | undefined;
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === PRIVATE_MESSAGE || tag === GROUP_MESSAGE) {
      const fields = new Fields(reader.bytes());
      request =
        tag === PRIVATE_MESSAGE
          ? { kind: 'private', message: fields.asPrivate() }
          : { kind: 'group', message: fields.asGroup() };
    } else reader.skipType(tag & 7);
  }
  return request ?? { kind: 'unreadable', problem: 'neither a private nor a group message' };
}

/** The fields of either kind of message: they have the same numbers. */
class Fields {
  private msgId = '';
  private senderId = '';
  private targetId = '';
  private content = '';
  private timestamp = 0;
  private readonly metadata: Record<string, string> = {};
  private invalidUtf8 = false;
  private readonly reader: Reader;

  constructor(bytes: Uint8Array) {
    const reader = (this.reader = Reader.create(bytes));
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === MSG_ID) this.msgId = this.text();
      else if (tag === SENDER_ID) this.senderId = this.text();
      else if (tag === TARGET_ID) this.targetId = this.text();
      else if (tag === CONTENT) this.content = this.text();
      else if (tag === TIMESTAMP) this.timestamp = Number(reader.int64());
      else if (tag === METADATA) this.readEntry();
      else reader.skipType(tag & 7);
    }
  }

  asPrivate(): PrivateRequest {
    const { msgId, senderId, targetId, content, timestamp, metadata, invalidUtf8 } = this;
    return {
      msg_id: msgId,
      sender_id: senderId,
      recipient_id: targetId,
      content,
      timestamp,
      metadata,
      invalidUtf8,
    };
  }

  asGroup(): GroupRequest {
    const { msgId, senderId, targetId, content, timestamp, metadata, invalidUtf8 } = this;
    return {
      msg_id: msgId,
      sender_id: senderId,
      group_id: targetId,
      content,
      timestamp,
      metadata,
      invalidUtf8,
    };
  }

  private text(): string {
    const { reader } = this;
    const start = reader.pos;
    const text = reader.string();
    // Invalid bytes were replaced; whether the sender wrote the replacement, the bytes tell.
    if (text.includes(REPLACEMENT) && !isUtf8(reader.buf.subarray(start, reader.pos))) {
      this.invalidUtf8 = true;
    }
    return text;
  }

  private readEntry(): void {
    const { reader } = this;
    const end = reader.uint32() + reader.pos;
    let [key, value] = ['', ''];
    while (reader.pos < end) {
      const tag = reader.uint32();
      if (tag === KEY) key = this.text();
      else if (tag === VALUE) value = this.text();
      else reader.skipType(tag & 7);
    }
    // Not an assignment: a key may be called __proto__.
    Object.defineProperty(this.metadata, key, {
      value,
      enumerable: true,
      configurable: true,
      writable: true,
    });
  }
}

/** RouteResponses with these answers. */
export function encodeAnswers(answers: readonly StreamAnswer[]): Buffer {
  const writer = Writer.create();
  for (const { number, request, answer } of answers) {
    const { success, status, sequenceNumber, memberCount, errorMessage, code } = answer;
    const isGroup = request.kind === 'group';
    const msgId = request.kind === 'unreadable' ? '' : request.message.msg_id;
    writer.uint32(tagOf(1, LENGTH_DELIMITED)).fork();
    writer.uint32(tagOf(1, VARINT)).uint64(number);
    if (msgId !== '') writer.uint32(tagOf(2, LENGTH_DELIMITED)).string(msgId);
    writer.uint32(tagOf(isGroup ? 4 : 3, LENGTH_DELIMITED)).fork();
    if (success) writer.uint32(tagOf(1, VARINT)).bool(true);
    writer.uint32(tagOf(2, LENGTH_DELIMITED)).string(status);
    if (sequenceNumber !== 0) writer.uint32(tagOf(3, VARINT)).int64(sequenceNumber);
    if (isGroup && memberCount) writer.uint32(tagOf(4, VARINT)).int32(memberCount);
    if (errorMessage !== '') {
      writer.uint32(tagOf(isGroup ? 5 : 4, LENGTH_DELIMITED)).string(errorMessage);
    }
    writer.ldelim();
    if (code) writer.uint32(tagOf(5, LENGTH_DELIMITED)).string(code);
    writer.ldelim();
  }
  return writer.finish() as Buffer;
}
