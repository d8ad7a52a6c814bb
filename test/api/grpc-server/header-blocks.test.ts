/** Header blocks as clients compress them, and as they must not be (RFC 7541). */
import type { OutgoingHttpHeaders } from 'node:http2';
import { sensitiveHeaders } from 'node:http2';
import { h2, post } from './clients';
import {
  block,
  data,
  FLAG,
  FRAME,
  frame,
  huffman,
  indexed,
  integer,
  kept,
  message,
  passing,
  plain,
  request,
  encodeHeaders,
  secret,
  tableSize,
} from './frames';
import type { Header } from './frames';
import { random } from './random';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
/** Where the dynamic table begins. */
const NEWEST = 62;
const BASE = encodeHeaders(request());
const blockOf = (...parts: Buffer[]) => Buffer.concat([BASE, ...parts]);
const COMPRESSED = message('x', 1);
/** The answer says which encoding it was, and so which header was read. */
const quoted = (text: string | undefined) =>
  /encoding "(.*)"/.exec(decodeURIComponent(text ?? ''))?.[1];

/** Which `grpc-encoding` the server reads in blocks, one stream each. */
async function readings(blocks: readonly Buffer[]): Promise<(string | undefined)[]> {
  const client = await RawClient.connect(await startServer());
  const read: (string | undefined)[] = [];
  for (const [i, bytes] of blocks.entries()) {
    const stream = 2 * i + 1;
    client.send(block(stream, bytes), data(stream, COMPRESSED, END));
    read.push(quoted((await client.answer(stream)).details));
  }
  return read;
}

describe('a header', () => {
  const all = Array.from({ length: 224 }, (_, i) => String.fromCharCode(i + 32)).join('');

  test.each([
    ['kept', kept],
    ['passing', passing],
    ['secret', secret],
  ])('may be %s, as it is or in Huffman code', async (_, write) => {
    const name = 'grpc-encoding';
    expect(
      await readings([
        blockOf(write(name, 'plain')),
        blockOf(write(name, 'huffman', huffman)),
        blockOf(write(name, 'x'.repeat(5_000), huffman)),
        blockOf(write(name, '')),
      ]),
    ).toEqual(['plain', 'huffman', 'x'.repeat(5_000), '']);
  });

  test('in Huffman code may have any characters', async () => {
    const values = all.match(/[^]{1,7}/g) ?? [];
    const blocks = values.map((value) => blockOf(passing('grpc-encoding', value, huffman)));
    expect(await readings(blocks)).toEqual(values);
  });

  test('may be kept and referred to, by its place or its name', async () => {
    const [one, two] = [kept('grpc-encoding', 'one'), kept('grpc-encoding', 'two', huffman)];
    expect(
      await readings([
        blockOf(one),
        blockOf(indexed(NEWEST)),
        blockOf(two),
        blockOf(indexed(NEWEST)),
        blockOf(indexed(NEWEST + 1)),
        blockOf(passing(NEWEST, 'by name')),
        blockOf(secret(NEWEST + 1, 'by name too')),
        blockOf(kept(NEWEST, 'three')),
        blockOf(indexed(NEWEST)),
        blockOf(kept('x-other', 'y'), indexed(NEWEST + 1)),
        blockOf(indexed(NEWEST + 3)),
      ]),
    ).toEqual([
      ...['one', 'one', 'two', 'two', 'one', 'by name', 'by name too'],
      ...['three', 'three', 'three', 'one'],
    ]);
  });

  test('is forgotten when there is no room for it', async () => {
    const filler = 'f'.repeat(960);
    const client = await RawClient.connect(await startServer());
    // 13 + 3 + 32 bytes, then four times 1 + 960 + 32: just as much as there is room for.
    client.send(block(1, blockOf(kept('grpc-encoding', 'one')), END));
    for (let i = 0; i < 4; i++) client.send(block(3 + 2 * i, blockOf(kept('a', filler)), END));
    client.send(block(11, blockOf(indexed(NEWEST + 4))), data(11, COMPRESSED, END));
    expect(quoted((await client.answer(11)).details)).toBe('one');
    // One more, and the first two have to go.
    client.send(block(13, blockOf(kept('a', filler), indexed(NEWEST + 3)), END));
    await client.answer(13);
    client.send(block(15, blockOf(indexed(NEWEST + 4))));
    expect(await client.failure()).toBe('GOAWAY COMPRESSION_ERROR');
  });

  test('that is larger than the table leaves nothing in it', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(block(1, blockOf(kept('grpc-encoding', 'one')), END));
    client.send(block(3, blockOf(kept('grpc-encoding', 'x'.repeat(4_096))), END));
    await client.answer(3);
    client.send(block(5, blockOf(indexed(NEWEST))));
    expect(await client.failure()).toBe('GOAWAY COMPRESSION_ERROR');
  });

  test('is kept whatever becomes of its request', async () => {
    const client = await RawClient.connect(await startServer({ Unary: () => undefined }));
    const refused: [Header[], string][] = [
      [request('/no.Such/Method'), 'answered 12'],
      [[...request(), ['X-Upper', 'case']], 'RST_STREAM PROTOCOL_ERROR'],
      [request().map(([n, v]): Header => [n, n === ':method' ? 'GET' : v]), 'answered 405'],
      [request().filter(([name]) => name !== 'content-type'), 'answered 415'],
    ];
    let stream = 1;
    for (const [list, how] of refused) {
      const bytes = Buffer.concat([encodeHeaders(list), kept('grpc-encoding', how)]);
      client.send(block(stream, bytes, END));
      expect(await client.failure(stream)).toBe(how);
      client.send(block(stream + 2, blockOf(indexed(NEWEST))), data(stream + 2, COMPRESSED, END));
      expect(quoted((await client.answer(stream + 2)).details)).toBe(how);
      stream += 4;
    }
    const trailers = kept('grpc-encoding', 'of trailers');
    client.send(block(stream, BASE), data(stream, message('x')), block(stream, trailers, END));
    const next = stream + 2;
    client.send(block(next, blockOf(indexed(NEWEST))), data(next, COMPRESSED, END));
    expect(quoted((await client.answer(next)).details)).toBe('of trailers');
  });
});

describe('the size of the table', () => {
  test('may be changed at the start of a block, often', async () => {
    const one = kept('grpc-encoding', 'one');
    expect(
      await readings([
        Buffer.concat([tableSize(4_096), blockOf(one)]),
        Buffer.concat([tableSize(100), blockOf(indexed(NEWEST))]),
        Buffer.concat([tableSize(0), tableSize(4_096), tableSize(200), blockOf(one)]),
        blockOf(indexed(NEWEST)),
      ]),
    ).toEqual(['one', 'one', 'one', 'one']);
  });

  test.each([
    ['0', [tableSize(0)]],
    ['less than its entries', [tableSize(47)]],
    ['0 for a moment', [tableSize(0), tableSize(4_096)]],
  ])('of %s takes entries away', async (_, sizes) => {
    const client = await RawClient.connect(await startServer());
    client.send(block(1, blockOf(kept('grpc-encoding', 'one')), END));
    client.send(block(3, Buffer.concat([...sizes, blockOf(indexed(NEWEST))]), END));
    expect(await client.failure()).toBe('GOAWAY COMPRESSION_ERROR');
  });
});

describe('a COMPRESSION_ERROR', () => {
  const text = (size: number, ...bytes: number[]) => Buffer.of(0, 1, 0x78, 0x80 | size, ...bytes);

  test.each([
    ['index 0', indexed(0)],
    ['an index beyond an empty table', indexed(NEWEST)],
    ['a name beyond an empty table', passing(NEWEST, 'x')],
    ['an index that is huge', integer(2 ** 31, 7, 0x80)],
    ['an index without an end', Buffer.of(0xff, ...Array<number>(20).fill(0xff))],
    ['an index that is cut off', Buffer.of(0xff, 0x80)],
    ['a literal without anything', Buffer.of(0x40)],
    ['a literal without a value', Buffer.concat([Buffer.of(0), plain('name')])],
    ['a name that is cut off', Buffer.of(0, 5, 0x61)],
    ['a value that is cut off', Buffer.of(0, 1, 0x61, 5, 0x61)],
    ['a length that is huge', Buffer.concat([Buffer.of(0), integer(2 ** 31, 7)])],
    ['a length without an end', Buffer.of(0, 0x7f, ...Array<number>(20).fill(0xff))],
    ['a table size above the limit', tableSize(4_097)],
    ['a table size after a header', Buffer.concat([indexed(2), tableSize(100)])],
    ['Huffman code with its end in it', text(4, 0xff, 0xff, 0xff, 0xff)],
    ['Huffman code padded with zeros', text(1, 0x18)],
    ['Huffman code padded with a byte', text(2, 0x1f, 0xff)],
    ['Huffman code that ends amid a letter', text(1, 0xfe)],
  ])('is %s', async (_, bytes) => {
    const server = await startServer();
    const other = await RawClient.connect(server);
    const client = await RawClient.connect(server);
    client.send(block(1, bytes.readUInt8(0) >> 5 === 1 ? bytes : blockOf(bytes)));
    expect(await client.failure()).toBe('GOAWAY COMPRESSION_ERROR');
    expect(await other.serves(1)).toBe(true);
  });

  test('is in trailers what it is in headers', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(block(1, BASE), frame(FRAME.headers, FLAG.endHeaders | END, 1, indexed(0)));
    expect(await client.failure()).toBe('GOAWAY COMPRESSION_ERROR');
  });
});

describe('many headers of all kinds', () => {
  test('of a client with a table of its own are read as they were meant', async () => {
    const next = random(1);
    const texts = Array.from(
      { length: 60 },
      (_, i) => `${i}-${'v'.repeat(next(i % 9 ? 60 : 2_000))}`,
    );
    const names = ['grpc-encoding', ...Array.from({ length: 15 }, (_, i) => `x-${i}`)];
    // The client's own idea of the table.
    let table: Header[] = [];
    let size = 4_096;
    const bytesOf = (list: readonly Header[]) =>
      list.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    const shrink = (): void => {
      while (bytesOf(table) > size) table = table.slice(0, -1);
    };
    const write = ([name, value]: Header): Buffer => {
      const text = next(2) ? plain : huffman;
      const place = table.findIndex(([n, v]) => n === name && v === value);
      if (place >= 0 && next(4)) return indexed(NEWEST + place);
      const named = table.findIndex(([n]) => n === name);
      const by = named >= 0 && next(3) ? NEWEST + named : name;
      if (!next(3)) return (next(2) ? passing : secret)(by, value, text);
      table = [[name, value], ...table];
      shrink();
      return kept(by, value, text);
    };
    const expected: string[] = [];
    const blocks = Array.from({ length: 500 }, () => {
      const parts: Buffer[] = [];
      if (!next(20)) {
        size = next(2) ? 4_096 : next(4_096);
        shrink();
        parts.push(tableSize(size));
      }
      parts.push(BASE);
      for (let i = next(6); i > 0; i--) {
        parts.push(write([names[1 + next(15)] as string, texts[next(60)] as string]));
      }
      const encoding = texts[next(60)] as string;
      expected.push(encoding);
      parts.push(write(['grpc-encoding', encoding]));
      return Buffer.concat(parts);
    });
    expect(await readings(blocks)).toEqual(expected);
  });

  test.each([{}, { headerTableSize: 0 }, { headerTableSize: 65_536 }])(
    'of Node, with settings %p, are read as they were meant',
    async (settings) => {
      const next = random(2);
      const session = h2(await startServer(), { settings });
      const values = Array.from({ length: 80 }, (_, i) => `${i}${'w~'.repeat(next(100))}`);
      for (let round = 0; round < 15; round++) {
        // Changed while calls are under way.
        if (round % 4 === 3) session.settings({ headerTableSize: next(2) * next(10_000) });
        const calls = Array.from({ length: 20 }, async () => {
          const encoding = values[next(80)] as string;
          const more: OutgoingHttpHeaders = { 'grpc-encoding': encoding };
          for (let i = next(8); i > 0; i--) more[`x-${next(20)}`] = values[next(80)];
          if (!next(5)) Object.assign(more, { [sensitiveHeaders]: ['x-1', 'grpc-encoding'] });
          const { headers, trailers } = await post(session, COMPRESSED, more);
          const details = headers['grpc-message'] ?? trailers['grpc-message'];
          expect(quoted(String(details))).toBe(encoding);
        });
        await Promise.all(calls);
      }
    },
  );

  test('are allowed up to a limit, and more ends the connection', async () => {
    const server = await startServer();
    const client = await RawClient.connect(server);
    client.send(block(1, blockOf(passing('x-large', 'v'.repeat(16_000))), END));
    await client.answer(1);
    const bytes = blockOf(...Array.from({ length: 30 }, () => passing('x', 'v'.repeat(2_900))));
    client.send(frame(FRAME.headers, 0, 3, bytes.subarray(0, 16_384)));
    for (let at = 16_384; at < bytes.length; at += 16_384) {
      const flags = at + 16_384 < bytes.length ? 0 : FLAG.endHeaders;
      client.send(frame(FRAME.continuation, flags, 3, bytes.subarray(at, at + 16_384)));
    }
    const how = await client.failure();
    expect(how).toMatch(/^GOAWAY (ENHANCE_YOUR_CALM|COMPRESSION_ERROR|PROTOCOL_ERROR)$/);
  });

  test('that are small, but name one that is large a thousand times, are too much', async () => {
    const client = await RawClient.connect(await startServer());
    client.send(block(1, blockOf(kept('x', 'v'.repeat(4_000))), END));
    client.send(block(3, blockOf(Buffer.alloc(16_000, indexed(NEWEST))), END));
    const how = await client.failure();
    expect(how).toMatch(/^GOAWAY (ENHANCE_YOUR_CALM|COMPRESSION_ERROR|PROTOCOL_ERROR)$/);
  });
});
