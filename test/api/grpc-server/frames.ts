/** Frames and header blocks as a client writes them, right ones and wrong ones. */
import { FLAG, FRAME, frame } from '../../../src/http2/frames';
import { encodeHeaders, HeaderDecoder, knownHeaders } from '../../../src/http2/hpack';
import type { Header } from '../../../src/http2/hpack';

export { encodeHeaders } from '../../../src/http2/hpack';
export type { Header } from '../../../src/http2/hpack';
export {
  DEFAULT_FRAME_SIZE,
  DEFAULT_WINDOW,
  FLAG,
  FRAME,
  frame,
  FrameReader,
  numberFrame,
  PREFACE,
  readSettings,
  SETTING,
  settingsFrame,
} from '../../../src/http2/frames';
export type { Frame } from '../../../src/http2/frames';

/** RFC 9113, §7: the names of the error codes, by number. */
export const ERRORS = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
];

export const PATH = {
  unary: '/test.Test/Unary',
  upload: '/test.Test/Upload',
  download: '/test.Test/Download',
  chat: '/test.Test/Chat',
} as const;

export const LARGEST_WINDOW = 2 ** 31 - 1;

const END = FLAG.endStream;
const WHOLE = FLAG.endHeaders;

const asHeader = (name: string, value: string): Header => [name, value];
const KNOWN = knownHeaders(asHeader);

/** A block of the server's, which uses no table. */
export function decodeHeaders(bytes: Buffer): Header[] {
  const limits = { tableBytes: 0, listBytes: 1_000_000 };
  return new HeaderDecoder(KNOWN, asHeader, limits).decode(bytes);
}

/** The headers of a gRPC request; `more` come last. */
export function request(path: string = PATH.unary, more: readonly Header[] = []): Header[] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ];
}

export function headers(stream: number, list: readonly Header[] = request(), flags = 0): Buffer {
  return frame(FRAME.headers, WHOLE | flags, stream, encodeHeaders(list));
}

/** A whole block of headers that is written as it stands. */
export function block(stream: number, bytes: Buffer, flags = 0): Buffer {
  return frame(FRAME.headers, WHOLE | flags, stream, bytes);
}

export function data(stream: number, payload: Buffer | string, flags = 0): Buffer {
  return frame(FRAME.data, flags, stream, Buffer.from(payload));
}

/** DATA or HEADERS with so much padding. */
export function padded(
  [type, flags, stream]: readonly [number, number, number],
  payload: Buffer,
  padding: number,
): Buffer {
  const bytes = Buffer.concat([Buffer.of(padding), payload, Buffer.alloc(padding)]);
  return frame(type, flags | FLAG.padded, stream, bytes);
}

/** A gRPC message: flag, length, bytes. */
export function message(body: Buffer | string, flag = 0): Buffer {
  const bytes = Buffer.from(body);
  const head = Buffer.alloc(5, flag);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** A unary call, whole: HEADERS, and DATA which ends the stream. */
export function call(stream: number, body = 'hello', path: string = PATH.unary): Buffer {
  return Buffer.concat([headers(stream, request(path)), data(stream, message(body), END)]);
}

export function reset(stream: number, error = 8): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(error);
  return frame(FRAME.rstStream, 0, stream, payload);
}

export function ping(payload = 'whatever', flags = 0): Buffer {
  return frame(FRAME.ping, flags, 0, Buffer.from(payload));
}

// ---- header blocks, piece by piece (RFC 7541, §5 and §6)

/** The code lengths of appendix B, base 36; the code is canonical. */
const CODE_LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq';

const CODES = huffmanCodes();

/** A number with the first byte's other bits. */
export function integer(value: number, prefixBits: number, first = 0): Buffer {
  const mask = 2 ** prefixBits - 1;
  if (value < mask) return Buffer.of(first | value);
  const bytes = [first | mask];
  let rest = value - mask;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 0x80);
  return Buffer.from([...bytes, rest]);
}

/** A text as it is. */
export function plain(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(bytes.length, 7), bytes]);
}

/** A text in Huffman code. */
export function huffman(value: string): Buffer {
  let bits = [...Buffer.from(value, 'latin1')].map((byte) => CODES[byte]).join('');
  bits = bits.padEnd(Math.ceil(bits.length / 8) * 8, '1');
  const bytes = bits.match(/.{8}/g)?.map((byte) => Number.parseInt(byte, 2)) ?? [];
  return Buffer.concat([integer(bytes.length, 7, 0x80), Buffer.from(bytes)]);
}

/** A reference to the tables. */
export const indexed = (index: number): Buffer => integer(index, 7, 0x80);

/** A literal that goes into the dynamic table. */
export function kept(name: string | number, value: string, text = plain): Buffer {
  return literal([0x40, 6], name, text(value), text);
}

/** A literal that does not go into the dynamic table. */
export function passing(name: string | number, value: string, text = plain): Buffer {
  return literal([0x00, 4], name, text(value), text);
}

/** A literal that must not go into any table on its way. */
export function secret(name: string | number, value: string, text = plain): Buffer {
  return literal([0x10, 4], name, text(value), text);
}

export const tableSize = (bytes: number): Buffer => integer(bytes, 5, 0x20);

function literal(
  [first, bits]: readonly [number, number],
  name: string | number,
  value: Buffer,
  text: (value: string) => Buffer,
): Buffer {
  if (typeof name === 'number') return Buffer.concat([integer(name, bits, first), value]);
  return Buffer.concat([Buffer.of(first), text(name), value]);
}

function huffmanCodes(): string[] {
  const symbols = Array.from(CODE_LENGTHS, (digit, symbol) => ({
    symbol,
    length: Number.parseInt(digit, 36),
  }));
  symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const codes: string[] = [];
  let code = 0;
  let before = 0;
  for (const { symbol, length } of symbols) {
    code <<= length - before;
    before = length;
    codes[symbol] = code.toString(2).padStart(length, '0');
    code += 1;
  }
  return codes;
}
