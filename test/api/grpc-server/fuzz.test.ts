/** Bytes that are almost right: whatever comes, nothing breaks but the connection it comes on. */
import { connect } from 'node:net';
import { gzipSync } from 'node:zlib';
import { waitFor } from '../../support/wait';
import {
  block,
  call,
  data,
  encodeHeaders,
  FLAG,
  FRAME,
  frame,
  headers,
  huffman,
  indexed,
  kept,
  message,
  numberFrame,
  padded,
  passing,
  PATH,
  ping,
  PREFACE,
  request,
  reset,
  secret,
  SETTING,
  settingsFrame,
  tableSize,
} from './frames';
import { random } from './random';
import type { Random } from './random';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';
import type { TestServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
const CONNECTIONS = 2_000;
const AT_ONCE = 50;
/** How long a connection may wait for what does not come, ms. */
const PATIENCE_MS = 30;
const GREETING = [PREFACE, settingsFrame([[SETTING.initialWindowSize, 10_000]])];

/** Talks that are right, frame by frame. */
const TALKS: Buffer[][] = [
  [call(1), call(3, 'x'.repeat(500)), call(5, '', '/no.Such/Method')],
  [headers(1, request(PATH.chat)), data(1, message('a')), ping(), data(1, message('b'), END)],
  [call(1, '5 3000', PATH.download), numberFrame(FRAME.windowUpdate, 0, 10_000), reset(1)],
  [
    headers(1, request(PATH.unary, [['grpc-encoding', 'gzip']])),
    data(1, message(gzipSync('z'.repeat(3_000)), 1), END),
  ],
  [
    frame(FRAME.headers, 0, 1, encodeHeaders(request()).subarray(0, 20)),
    frame(FRAME.continuation, FLAG.endHeaders, 1, encodeHeaders(request()).subarray(20)),
    padded([FRAME.data, END, 1], message('padded'), 30),
  ],
  [
    block(
      1,
      Buffer.concat([encodeHeaders(request()), kept('x-a', 'one'), kept('x-b', 'two')]),
      END,
    ),
    block(3, Buffer.concat([tableSize(90), encodeHeaders(request()), indexed(62)]), END),
    block(5, Buffer.concat([encodeHeaders(request()), secret('x-c', 'three', huffman)]), END),
    block(7, Buffer.concat([encodeHeaders(request()), passing(62, 'four', huffman)]), END),
  ],
  [
    headers(1, request(PATH.upload)),
    data(1, message('u'.repeat(900))),
    settingsFrame([[SETTING.initialWindowSize, 5]]),
    data(1, message('v')),
    block(1, encodeHeaders([['x-trailer', 'x']]), END),
  ],
  [
    headers(1, request(PATH.chat, [['grpc-timeout', '20m']])),
    frame(FRAME.priority, 0, 1, Buffer.from([0, 0, 0, 0, 1])),
    frame(FRAME.goaway, 0, 0, Buffer.alloc(8)),
    frame(0x33, 0, 1, Buffer.from('unknown')),
  ],
];

const pick = <T>(next: Random, list: readonly T[]): T => list[next(list.length)] as T;

/** A talk with some of its bytes or frames changed. */
function mutated(next: Random): Buffer {
  let frames = [...pick(next, TALKS)];
  for (let i = next(3); i > 0; i--) {
    const at = next(frames.length + 1);
    const what = next(4);
    if (what === 0) frames.splice(at, 1);
    else if (what === 1) frames.splice(at, 0, pick(next, pick(next, TALKS)));
    else if (what === 2) frames = [...frames, ...frames.slice(at)];
    else frames.reverse();
  }
  const bytes = Buffer.concat([...GREETING, ...frames]);
  const heads: number[] = [];
  for (let at = PREFACE.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    heads.push(at);
  }
  let result = Buffer.from(bytes);
  for (let i = next(4); i > 0; i--) {
    const at = PREFACE.length + next(Math.max(result.length - PREFACE.length, 1));
    switch (next(6)) {
      case 0:
        if (at < result.length) result[at] = next(256);
        break;
      case 1:
        // Somewhere in the head of a frame: length, type, flags or stream.
        result[Math.min((heads.length ? pick(next, heads) : 0) + next(9), result.length - 1)] =
          next(3) ? next(12) : next(256);
        break;
      case 2:
        if (at < result.length) result[at] = (result[at] ?? 0) ^ (1 << next(8));
        break;
      case 3:
        result = Buffer.concat([result.subarray(0, at), result.subarray(at + 1 + next(20))]);
        break;
      case 4:
        result = Buffer.concat([
          result.subarray(0, at),
          Buffer.from(Array.from({ length: 1 + next(20) }, () => next(256))),
          result.subarray(at),
        ]);
        break;
      default:
        result = result.subarray(0, at);
    }
  }
  return result;
}

/** Frames that are whole, of all kinds and with any content, mostly where they may come. */
function shuffled(next: Random): Buffer {
  const noise = (size: number) => Buffer.from(Array.from({ length: size }, () => next(256)));
  let last = -1;
  const fresh = () => (next(30) ? (last += 2) : next(12));
  const stream = () => (next(30) ? Math.max(last - 2 * next(3), 1) : next(12));
  const path = () => pick(next, [...Object.values(PATH), PATH.chat, '/x']);
  const usual: (() => Buffer)[] = [
    () => headers(fresh(), request(path())),
    () => headers(fresh(), request(path()), next(3) ? 0 : END),
    () => call(fresh(), String(next(1_000)), path()),
    () => data(stream(), message(noise(next(40)))),
    () => data(stream(), message(noise(next(40))), next(3) ? 0 : END),
    () => reset(stream(), next(14)),
    () => numberFrame(FRAME.windowUpdate, next(2) && stream(), 1 + next(100_000)),
    () => settingsFrame([[SETTING.initialWindowSize, next(70_000)]]),
    () => ping(),
    () => frame(FRAME.settings, FLAG.ack, 0, Buffer.alloc(0)),
    () => frame(FRAME.priority, 0, stream(), noise(5)),
    () => block(fresh(), Buffer.concat([encodeHeaders(request()), kept(noise(3).toString(), 'x')])),
  ];
  const wild: (() => Buffer)[] = [
    () => data(stream(), noise(next(10)), next(3) ? 0 : END),
    () => numberFrame(FRAME.windowUpdate, stream(), next(2 ** 31)),
    () => settingsFrame([[1 + next(8), next(2 ** 32)]]),
    () => frame(next(12), next(256), stream(), noise(next(30))),
    () => block(fresh(), Buffer.concat([encodeHeaders(request()), noise(next(20))])),
    () => frame(FRAME.headers, 0, fresh(), encodeHeaders(request(path()))),
    () => frame(FRAME.continuation, FLAG.endHeaders, stream(), kept('x', 'y')),
  ];
  const parts = Array.from({ length: 1 + next(20) }, () => pick(next, next(12) ? usual : wild)());
  return Buffer.concat([...GREETING, ...parts]);
}

/** Sends, then waits until the connection ends, or for a little. */
function talk(to: TestServer, bytes: Buffer, next: Random): Promise<void> {
  const cut = next(2) ? next(bytes.length) : bytes.length;
  const isRude = next(2) === 0;
  return new Promise((resolve) => {
    const socket = connect(to.port, '127.0.0.1');
    let timer: NodeJS.Timeout | undefined;
    const leave = (): void => {
      if (isRude) socket.resetAndDestroy();
      else socket.destroy();
    };
    // The first that comes says that the server has taken the connection.
    socket.once('data', () => (timer = setTimeout(leave, PATIENCE_MS)));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearTimeout(timer);
      resolve();
    });
    socket.resume();
    socket.write(bytes.subarray(0, cut));
    setImmediate(() => !socket.destroyed && socket.write(bytes.subarray(cut)));
  });
}

test.each([
  ['talks with slips', 1, mutated],
  ['talks with other slips', 2, mutated],
  ['frames in any order', 3, shuffled],
  ['frames in any other order', 4, shuffled],
])('%s harm nobody else', async (_, seed, make) => {
  const next = random(seed);
  const open = new Set<object>();
  const server = await startServer({
    Chat: (chat) => {
      open.add(chat);
      chat.on('close', () => open.delete(chat));
      chat.on('data', (bytes: Buffer) => chat.write(bytes));
      chat.on('end', () => chat.end());
    },
  });
  const good = await RawClient.connect(server);
  for (let i = 0; i < CONNECTIONS; i += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, () => talk(server, make(next), next)));
    expect(await good.serves(2 * i + 1)).toBe(true);
  }
  await waitFor('all calls to be over', 10_000, () => Promise.resolve(open.size === 0));
  // Enough get as far as a handler, or little would be tried.
  expect(server.begun()).toBeGreaterThan(CONNECTIONS / 20);
});
