/** Requests that are malformed: their streams are reset, their connections go on (RFC 9113, §8). */
import { block, data, encodeHeaders, FLAG, headers, message, PATH, request } from './frames';
import type { Header } from './frames';
import { RawClient } from './raw-client';
import { cleanUp, startServer } from './server';

afterEach(cleanUp);

const END = FLAG.endStream;
const without = (name: string) => request().filter(([n]) => n !== name);
const changed = (name: string, value: string) =>
  request().map(([n, v]): Header => [n, n === name ? value : v]);
const more = (...list: Header[]) => request(PATH.unary, list);

async function isReset(list: readonly Header[], parts: Buffer[] = []): Promise<void> {
  const server = await startServer();
  const client = await RawClient.connect(server);
  client.send(headers(1, list), ...parts);
  if (parts.length === 0) client.send(data(1, message('hello'), END));
  expect(await client.failure(1)).toBe('RST_STREAM PROTOCOL_ERROR');
  expect(await client.serves(3)).toBe(true);
  expect(server.begun()).toBe(1);
}

describe('malformed are', () => {
  test.each<[string, Header[]]>([
    ['no method', without(':method')],
    ['no scheme', without(':scheme')],
    ['no path', without(':path')],
    ['an empty path', changed(':path', '')],
    ['two methods', [[':method', 'POST'], ...request()]],
    ['two schemes', [[':scheme', 'http'], ...request()]],
    ['two paths', [[':path', PATH.unary], ...request()]],
    ['two authorities', [[':authority', 'test'], ...request()]],
    ['a pseudo-header after others', [...without(':path'), [':path', PATH.unary]]],
    ['a pseudo-header of answers', [[':status', '200'], ...request()]],
    ['a pseudo-header nobody knows', [[':unknown', 'x'], ...request()]],
    ['a pseudo-header without a name', [[':', 'x'], ...request()]],
    ['a name in capitals', more(['X-Upper', 'x'])],
    ['a name of nothing', more(['', 'x'])],
    ['a name with a space', more(['x y', 'x'])],
    ['a name with a colon', more(['x:y', 'x'])],
    ['a name with a line end', more(['x\r\ny', 'x'])],
    ['a name with a zero', more(['x\0', 'x'])],
    ['a name of other letters', more(['x\u00fc', 'x'])],
    ['a value with a line feed', more(['x', 'a\nb'])],
    ['a value with a carriage return', more(['x', 'a\rb'])],
    ['a value with a zero', more(['x', 'a\0b'])],
    ['connection', more(['connection', 'close'])],
    ['keep-alive', more(['keep-alive', 'timeout=5'])],
    ['proxy-connection', more(['proxy-connection', 'close'])],
    ['transfer-encoding', more(['transfer-encoding', 'chunked'])],
    ['upgrade', more(['upgrade', 'h2c'])],
    ['te of another kind', changed('te', 'gzip')],
    ['a length that is no number', more(['content-length', 'ten'])],
    ['a negative length', more(['content-length', '-1'])],
  ])('%s', (_, list) => isReset(list));

  test.each<[string, string, Buffer[]]>([
    ['less', '11', [data(1, message('hello'), END)]],
    ['more', '9', [data(1, message('hello'), END)]],
    ['more, in pieces', '9', [data(1, message('hel')), data(1, 'lo', END)]],
    ['nothing', '10', [data(1, '', END)]],
    ['trailers instead', '10', [block(1, encodeHeaders([['x', 'y']]), END)]],
  ])('DATA of %s than its length says', (_, length, parts) =>
    isReset(more(['content-length', length]), parts),
  );

  test.each<[string, Header[]]>([
    ['a pseudo-header', [[':path', PATH.unary]]],
    ['a name in capitals', [['X', 'y']]],
    ['connection', [['connection', 'close']]],
  ])('trailers with %s', async (_, list) => {
    const client = await RawClient.connect(await startServer());
    client.send(headers(1), data(1, message('x')), block(1, encodeHeaders(list), END));
    expect(await client.failure(1)).toBe('RST_STREAM PROTOCOL_ERROR');
    expect(await client.serves(3)).toBe(true);
  });
});

test.each<[string, Header[]]>([
  ['a length that is right', more(['content-length', '10'])],
  ['an empty value', more(['x-empty', ''])],
  ['a value of other letters, and a tab', more(['x-odd', 'a\u00fc\u00ff\tb'])],
  ['names of all characters that are allowed', more(["!#$%&'*+-.^_`|~09az", 'x'])],
  ['names that are of objects', more(['__proto__', 'x'], ['constructor', 'y'], ['tostring', 'z'])],
  ['one name often', more(['x', '1'], ['x', '2'], ['cookie', 'a=b'], ['cookie', 'c=d'])],
  ['headers of gRPC that say nothing new', more(['grpc-encoding', 'identity'], ['grpc-x', 'y'])],
])('well formed is %s', async (_, list) => {
  const client = await RawClient.connect(await startServer());
  client.send(headers(1, list), data(1, message('hello'), END));
  expect(await client.answer(1)).toMatchObject({ code: '0', body: message('hello') });
});
