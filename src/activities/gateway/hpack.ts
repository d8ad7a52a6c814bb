/**
 * HPACK (RFC 7541) as far as a client needs it that keeps no dynamic table: requests are written with
 * literals that are not indexed, and peers are told a table size of 0, so that a block of headers
 * means the same whatever came before it.
 */

/** Name and value. */
export type Header = readonly [string, string];

/** A block that is not HPACK, or that uses the table we forbade. */
export class HpackError extends Error {
  override readonly name = 'HpackError';
}

/** RFC 7541, appendix A; index 1 is the first. */
const STATIC: readonly Header[] = [
  [':authority', ''],
  [':method', 'GET'],
  [':method', 'POST'],
  [':path', '/'],
  [':path', '/index.html'],
  [':scheme', 'http'],
  [':scheme', 'https'],
  ...['200', '204', '206', '304', '400', '404', '500'].map((s): Header => [':status', s]),
  ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'],
  ...(
    'accept-language accept-ranges accept access-control-allow-origin age allow authorization ' +
    'cache-control content-disposition content-encoding content-language content-length ' +
    'content-location content-range content-type cookie date etag expect expires from host ' +
    'if-match if-modified-since if-none-match if-range if-unmodified-since last-modified link ' +
    'location max-forwards proxy-authenticate proxy-authorization range referer refresh ' +
    'retry-after server set-cookie strict-transport-security transfer-encoding user-agent vary ' +
    'via www-authenticate'
  )
    .split(' ')
    .map((name): Header => [name, '']),
];

/** RFC 7541, appendix B: the length of each byte's code, base 36. The code is canonical. */
const CODE_LENGTHS =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq';

/** Code with a leading 1 (so that its length counts) → byte. */
const HUFFMAN = huffmanCodes();
const LONGEST_CODE = 30;

/** A header block without any state. */
export function encodeHeaders(headers: readonly Header[]): Buffer {
  return Buffer.concat(
    headers.flatMap(([name, value]) => {
      const whole = STATIC.findIndex(([n, v]) => n === name && v === value && v !== '') + 1;
      if (whole > 0) return [encodeInteger(whole, 7, 0x80)];
      const known = STATIC.findIndex(([n]) => n === name) + 1;
      const start = encodeInteger(known, 4, 0);
      return known > 0 ? [start, literal(value)] : [start, literal(name), literal(value)];
    }),
  );
}

/** The headers of a block, in order; throws {@link HpackError}. */
export function decodeHeaders(block: Buffer): Header[] {
  const reader = new BlockReader(block);
  const headers: Header[] = [];
  while (!reader.atEnd) {
    const first = reader.peek();
    if (first & 0x80) {
      headers.push(staticHeader(reader.integer(7)));
    } else if ((first & 0xe0) === 0x20) {
      if (reader.integer(5) > 0) throw new HpackError('a dynamic table was forbidden');
    } else {
      // With or without indexing: what does not fit a table of size 0 is not kept.
      const index = reader.integer(first & 0x40 ? 6 : 4);
      const name = index > 0 ? staticHeader(index)[0] : reader.text();
      headers.push([name, reader.text()]);
    }
  }
  return headers;
}

class BlockReader {
  private at = 0;

  constructor(private readonly block: Buffer) {}

  get atEnd(): boolean {
    return this.at >= this.block.length;
  }

  peek(): number {
    const byte = this.block[this.at];
    if (byte === undefined) throw new HpackError('the block ends early');
    return byte;
  }

  integer(prefixBits: number): number {
    const mask = (1 << prefixBits) - 1;
    let value = this.next() & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = this.next();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new HpackError('an integer is too large');
  }

  text(): string {
    const packed = (this.peek() & 0x80) !== 0;
    const length = this.integer(7);
    const end = this.at + length;
    if (end > this.block.length) throw new HpackError('the block ends early');
    const bytes = this.block.subarray(this.at, end);
    this.at = end;
    return packed ? unpack(bytes) : bytes.toString('latin1');
  }

  private next(): number {
    const byte = this.peek();
    this.at += 1;
    return byte;
  }
}

function staticHeader(index: number): Header {
  const header = STATIC[index - 1];
  if (!header) throw new HpackError(`no header has index ${index}`);
  return header;
}

function encodeInteger(value: number, prefixBits: number, flags: number): Buffer {
  const mask = (1 << prefixBits) - 1;
  if (value < mask) return Buffer.of(flags | value);
  const bytes = [flags | mask];
  let rest = value - mask;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}

function literal(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([encodeInteger(bytes.length, 7, 0), bytes]);
}

function unpack(bytes: Buffer): string {
  let text = '';
  let code = 1;
  for (const byte of bytes) {
    for (let bit = 7; bit >= 0; bit--) {
      code = (code << 1) | ((byte >> bit) & 1);
      const symbol = HUFFMAN.get(code);
      if (symbol !== undefined) {
        text += String.fromCharCode(symbol);
        code = 1;
      } else if (code >>> LONGEST_CODE) {
        throw new HpackError('a text is not Huffman code');
      }
    }
  }
  // What is left must be padding: fewer than 8 bits, all of them 1.
  const isPadding = code < 0x100 && (code & (code + 1)) === 0;
  if (!isPadding) throw new HpackError('a text is not padded as it must be');
  return text;
}

function huffmanCodes(): Map<number, number> {
  const symbols = Array.from(CODE_LENGTHS, (digit, symbol) => ({
    symbol,
    length: Number.parseInt(digit, 36),
  }));
  symbols.sort((a, b) => a.length - b.length || a.symbol - b.symbol);
  const codes = new Map<number, number>();
  let code = 0;
  let before = 0;
  for (const { symbol, length } of symbols) {
    code <<= length - before;
    before = length;
    codes.set(2 ** length + code, symbol);
    code += 1;
  }
  return codes;
}
