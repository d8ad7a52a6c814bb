/** Every bad input has its defined answer. Pure; the flows test the same over gRPC. */
import { ImError } from '../../src/domain/errors';
import { privateConversation } from '../../src/domain/ids';
import { MAX_CLOCK_AHEAD_MS, validatePrivate } from '../../src/domain/validation';

const NOW = 1_706_180_400_000;
const GOOD = {
  msg_id: 'msg_1',
  sender_id: 'alice',
  recipient_id: 'bob',
  content: 'hi',
  timestamp: NOW,
  metadata: {},
};

function codeOf(change: object): string {
  try {
    validatePrivate({ ...GOOD, ...change }, NOW);
    return 'accepted';
  } catch (error) {
    return error instanceof ImError ? error.code : String(error);
  }
}

test.each([
  ['an empty msg_id', { msg_id: '' }, 'ROUTING_FAILED'],
  ['a msg_id of 128 bytes', { msg_id: 'm'.repeat(128) }, 'accepted'],
  ['a msg_id of 129 bytes', { msg_id: 'm'.repeat(129) }, 'ROUTING_FAILED'],
  ['a msg_id of 33 four-byte characters', { msg_id: '😀'.repeat(33) }, 'ROUTING_FAILED'],
  ['a slash in msg_id', { msg_id: 'a/b' }, 'ROUTING_FAILED'],
  ['a control character in sender_id', { sender_id: 'a\u0007' }, 'ROUTING_FAILED'],
  ['an empty sender_id', { sender_id: '' }, 'ROUTING_FAILED'],
  ['an empty recipient_id', { recipient_id: '' }, 'INVALID_RECIPIENT'],
  ['a recipient_id that ends with a space', { recipient_id: 'bob ' }, 'INVALID_RECIPIENT'],
  ['a slash in recipient_id', { recipient_id: 'b/c' }, 'INVALID_RECIPIENT'],
  ['sender = recipient', { recipient_id: 'alice' }, 'INVALID_RECIPIENT'],
  ['empty content', { content: '' }, 'accepted'],
  ['10,240 bytes', { content: 'x'.repeat(10_240) }, 'accepted'],
  ['10,241 bytes', { content: 'x'.repeat(10_241) }, 'MESSAGE_TOO_LARGE'],
  ['2,560 four-byte characters', { content: '😀'.repeat(2_560) }, 'accepted'],
  ['2,561 four-byte characters', { content: '😀'.repeat(2_561) }, 'MESSAGE_TOO_LARGE'],
  ['a negative timestamp', { timestamp: -1 }, 'ROUTING_FAILED'],
  ['a timestamp a day ahead', { timestamp: NOW + MAX_CLOCK_AHEAD_MS }, 'accepted'],
  ['a far future timestamp', { timestamp: NOW + MAX_CLOCK_AHEAD_MS + 1 }, 'ROUTING_FAILED'],
  ['100 metadata entries', { metadata: entries(100, 10) }, 'accepted'],
  ['129 metadata entries', { metadata: entries(129, 1) }, 'MESSAGE_TOO_LARGE'],
  ['100 KB of metadata', { metadata: entries(10, 10_240) }, 'MESSAGE_TOO_LARGE'],
  ['invalid UTF-8', { invalidUtf8: true }, 'ROUTING_FAILED'],
])('%s', (_, change, code) => expect(codeOf(change)).toBe(code));

test('a timestamp of 0 is "now": proto3 cannot tell it from none', () => {
  expect(validatePrivate({ ...GOOD, timestamp: 0 }, NOW).timestamp).toBe(NOW);
});

test('private conversations that read the same have different keys', () => {
  const [one, two] = [privateConversation('a_b', 'c'), privateConversation('a', 'b_c')];
  expect(one.id).toBe(two.id);
  expect(one.key).not.toBe(two.key);
});

test('a private conversation is the same whoever sends, ordered by code point', () => {
  expect(privateConversation('bob', 'alice')).toEqual(privateConversation('alice', 'bob'));
  // By UTF-16 unit, U+1F600 would stand before U+FF5E.
  expect(privateConversation('\u{1F600}', '\uFF5E').id).toBe('\uFF5E_\u{1F600}');
});

function entries(count: number, bytes: number): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`key${i}`, 'v'.repeat(bytes)]),
  );
}
