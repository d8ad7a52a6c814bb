/**
 * HPACK (RFC 7541). Headers are written without a dynamic table, so that a block means the same
 * whatever came before it; they are read with one.
 */
import { decodeHuffman } from './huffman';

/** Name and value. */
export type Header = readonly [string, string];

/** A block that is not HPACK, or that asks for more than it may. */
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

/** RFC 7541, §4.1: what an entry counts for beyond its name and value, bytes. */
const ENTRY_OVERHEAD = 32;

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

export interface HeaderLimits {
  /** The largest dynamic table the peer may ask for, bytes. */
  readonly tableBytes: number;
  /** All headers of a block, as RFC 9113, §6.5.2 counts them, bytes. */
  readonly listBytes: number;
}

interface Entry<Field> {
  readonly name: string;
  readonly field: Field;
  readonly bytes: number;
}

/** Reads one connection's header blocks, each as an array of whatever `make` makes of name and value. */
export class HeaderDecoder<Field> {
  private readonly table: DynamicTable<Field>;
  private readonly reader = new BlockReader();

  /** `known` is {@link knownHeaders} by the same `make`. */
  constructor(
    private readonly known: readonly Entry<Field>[],
    private readonly make: (name: string, value: string) => Field,
    private readonly limits: HeaderLimits,
  ) {
    this.table = new DynamicTable(limits.tableBytes);
  }

  /** The headers of a block, in order; throws {@link HpackError}, after which the table is worth nothing. */
  decode(block: Buffer): Field[] {
    const { reader } = this;
    reader.open(block);
    const fields: Field[] = [];
    let bytes = 0;
    while (!reader.atEnd) {
      const first = reader.peek();
      if ((first & 0xe0) === 0x20) {
        if (fields.length > 0) throw new HpackError('a table size amid headers');
        this.resize(reader.integer(5));
        continue;
      }
      const entry = first & 0x80 ? this.entryAt(reader.integer(7)) : this.literal(first);
      bytes += entry.bytes;
      if (bytes > this.limits.listBytes) throw new HpackError('the headers are too large');
      fields.push(entry.field);
    }
    return fields;
  }

  private literal(first: number): Entry<Field> {
    const indexed = (first & 0x40) !== 0;
    const index = this.reader.integer(indexed ? 6 : 4);
    const name = index > 0 ? this.entryAt(index).name : this.reader.text();
    const value = this.reader.text();
    const entry = entryOf(name, value, this.make);
    if (indexed) this.table.insert(entry);
    return entry;
  }

  private entryAt(index: number): Entry<Field> {
    const { known } = this;
    const entry = index <= known.length ? known[index - 1] : this.table.at(index - known.length);
    if (!entry) throw new HpackError(`no header has index ${index}`);
    return entry;
  }

  private resize(bytes: number): void {
    if (bytes > this.limits.tableBytes) throw new HpackError('the table may not be that large');
    this.table.resize(bytes);
  }
}

/** The static table for decoders with this `make`. */
export function knownHeaders<Field>(
  make: (name: string, value: string) => Field,
): readonly Entry<Field>[] {
  return STATIC.map(([name, value]) => entryOf(name, value, make));
}

function entryOf<Field>(
  name: string,
  value: string,
  make: (name: string, value: string) => Field,
): Entry<Field> {
  return { name, field: make(name, value), bytes: name.length + value.length + ENTRY_OVERHEAD };
}

/** RFC 7541, §2.3.2: a ring, the newest entry first. */
class DynamicTable<Field> {
  private readonly ring: (Entry<Field> | undefined)[];
  private newest = 0;
  private count = 0;
  private bytes = 0;

  constructor(private maxBytes: number) {
    const entries = Math.floor(maxBytes / ENTRY_OVERHEAD);
    this.ring = new Array<undefined>(Math.max(entries, 1)).fill(undefined);
  }

  at(index: number): Entry<Field> | undefined {
    return index >= 1 && index <= this.count ? this.ring[this.slot(index - 1)] : undefined;
  }

  insert(entry: Entry<Field>): void {
    this.shrink(this.maxBytes - entry.bytes);
    if (entry.bytes > this.maxBytes) return;
    this.newest = (this.newest + 1) % this.ring.length;
    this.ring[this.newest] = entry;
    this.count += 1;
    this.bytes += entry.bytes;
  }

  resize(maxBytes: number): void {
    this.maxBytes = maxBytes;
    this.shrink(maxBytes);
  }

  private shrink(to: number): void {
    while (this.count > 0 && this.bytes > to) {
      const oldest = this.slot(this.count - 1);
      this.bytes -= this.ring[oldest]?.bytes ?? 0;
      this.ring[oldest] = undefined;
      this.count -= 1;
    }
  }

  private slot(age: number): number {
    return (this.newest - age + this.ring.length) % this.ring.length;
  }
}

class BlockReader {
  private block: Buffer = Buffer.alloc(0);
  private at = 0;

  open(block: Buffer): void {
    this.block = block;
    this.at = 0;
  }

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
    const start = this.at;
    const end = start + length;
    if (end > this.block.length) throw new HpackError('the block ends early');
    this.at = end;
    if (!packed) return this.block.toString('latin1', start, end);
    const text = decodeHuffman(this.block, start, end);
    if (text === undefined) throw new HpackError('a text is not Huffman code');
    return text;
  }

  private next(): number {
    const byte = this.peek();
    this.at += 1;
    return byte;
  }
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
