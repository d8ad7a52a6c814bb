import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageReader } from '../../../src/api/grpc/message-reader';
import { framed } from '../../../src/http2/grpc-message';

const CHUNK_BYTES = 64 * 1024;
const MIB = 1024 * 1024;
const MAX_BYTES = 4 * MIB;

/** `bytes`, each in a chunk of its own, as a socket may hand them out. */
function* dribbled(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at++) {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    chunk[0] = bytes[at] as number;
    yield chunk.subarray(0, 1);
  }
}

test('a message that comes byte by byte is read whole, and so is what comes with its end', () => {
  const reader = new MessageReader('identity', MAX_BYTES);
  const [first, second] = [framed(Buffer.from('first')), framed(Buffer.from('second'))];
  for (const piece of dribbled(first.subarray(0, -1))) expect(reader.read(piece)).toEqual([]);
  expect(reader.held).toBe(first.length - 1);
  const rest = Buffer.concat([first.subarray(-1), second, second.subarray(0, 3)]);
  expect(reader.read(rest).map(String)).toEqual(['first', 'second']);
  expect(reader.held).toBe(3);
  expect(reader.read(second.subarray(3)).map(String)).toEqual(['second']);
  expect(reader.held).toBe(0);
});

test('what is held of a message takes its own size, not that of the chunks it came in', () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const reader = new MessageReader('identity', MAX_BYTES);
  const used = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const before = used();
  for (const piece of dribbled(framed(Buffer.alloc(2_000)).subarray(0, -1))) reader.read(piece);
  expect(used() - before).toBeLessThan(4 * MIB);
  expect(reader.held).toBe(2_004);
});
