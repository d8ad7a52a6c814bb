/** Bad input over gRPC: each gets its code in the answer and in the trailer, none a crash or INTERNAL. */
import { makeGenericClientConstructor, credentials, status } from '@grpc/grpc-js';
import { unique } from '../support/ids';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

let system: TestSystem;
beforeAll(async () => (system = await startSystem()));
afterAll(() => system.close());

const good = () => ({
  msg_id: unique('msg'),
  sender_id: unique('alice'),
  recipient_id: unique('bob'),
  content: 'hi',
  timestamp: Date.now(),
  metadata: {} as Record<string, string>,
});

test.each([
  ['an empty msg_id', { msg_id: '' }, 'ROUTING_FAILED'],
  ['an over-long sender_id', { sender_id: 'x'.repeat(129) }, 'ROUTING_FAILED'],
  ['an over-long recipient_id', { recipient_id: 'x'.repeat(129) }, 'INVALID_RECIPIENT'],
  ['a control character', { recipient_id: 'a\u0000b' }, 'INVALID_RECIPIENT'],
  [
    'a recipient the user service does not know',
    { recipient_id: 'unknown_1' },
    'INVALID_RECIPIENT',
  ],
  ['10,241 bytes', { content: 'é'.repeat(5_120) + 'x' }, 'MESSAGE_TOO_LARGE'],
  ['a negative timestamp', { timestamp: -5 }, 'ROUTING_FAILED'],
  ['the largest timestamp', { timestamp: '9223372036854775807' }, 'ROUTING_FAILED'],
  ['100 KB of metadata', { metadata: { k: 'v'.repeat(102_400) } }, 'MESSAGE_TOO_LARGE'],
])('%s is refused with its code', async (_, change, code) => {
  const answer = await system.client.routePrivate({ ...good(), ...change });
  expect(answer).toMatchObject({ success: false, status: 'failed', sequence_number: 0, code });
  expect(answer.error_message.startsWith(`${code}: `)).toBe(true);
});

test.each([
  ['10,240 bytes', { content: '😀'.repeat(2_560) }],
  ['timestamp 0', { timestamp: 0 }],
  [
    '100 metadata entries',
    { metadata: Object.fromEntries(Array.from({ length: 100 }, (_, i) => [`k${i}`, 'v'])) },
  ],
  ['a U+FFFD the sender really wrote', { content: 'caf\uFFFD' }],
])('%s is accepted', async (_, change) => {
  const answer = await system.client.routePrivate({ ...good(), ...change });
  expect(answer).toMatchObject({ success: true, status: 'offline', error_message: '' });
});

test('invalid UTF-8 in content is refused, not changed silently', async () => {
  const answer = await rawRoute(fieldsOf({ ...good(), content: Buffer.from([0x68, 0xff, 0x69]) }));
  expect(answer).toContain('ROUTING_FAILED: a text field is not valid UTF-8');
});

test('what is no message at all is refused by gRPC, and the service goes on', async () => {
  await expect(rawRoute(Buffer.from([0xff, 0xff, 0xff]))).rejects.toMatchObject({
    code: expect.any(Number) as number,
  });
  expect((await system.client.routePrivate(good())).success).toBe(true);
});

test('GetMessageStatus: an id never seen is NOT_FOUND, a bad one INVALID_ARGUMENT', async () => {
  await expect(system.client.status(unique('msg'))).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  await expect(system.client.status('a/b')).rejects.toMatchObject({
    code: status.INVALID_ARGUMENT,
  });
});

/** Sends bytes as a RoutePrivateMessageRequest and resolves to the response's bytes as text. */
function rawRoute(bytes: Buffer): Promise<string> {
  const Raw = makeGenericClientConstructor({}, 'raw');
  const client = new Raw(`127.0.0.1:${system.server.grpcPort}`, credentials.createInsecure());
  return new Promise<string>((resolve, reject) => {
    client.makeUnaryRequest(
      '/im.v1.IMService/RoutePrivateMessage',
      (value: Buffer) => value,
      (value: Buffer) => value.toString('latin1'),
      bytes,
      { deadline: Date.now() + 5_000 },
      (error, answer) => (error ? reject(error) : resolve(answer as string)),
    );
  }).finally(() => client.close());
}

/** The four text fields, length-delimited, each shorter than 128 bytes. */
function fieldsOf(request: {
  msg_id: string;
  sender_id: string;
  recipient_id: string;
  content: Buffer;
}): Buffer {
  const texts = [request.msg_id, request.sender_id, request.recipient_id, request.content];
  return Buffer.concat(
    texts.flatMap((text, i) => {
      const bytes = Buffer.from(text as string);
      return [Buffer.from([((i + 1) << 3) | 2, bytes.length]), bytes];
    }),
  );
}
