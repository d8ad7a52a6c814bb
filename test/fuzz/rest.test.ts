/** REST against whatever the internet sends: at least 20,000 requests, none of which does harm. */
import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import fc from 'fast-check';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { groupConversation } from '../../src/domain/ids';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { message, offline } from '../support/records';
import { RestClient, tokenFor } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

/** Rounds of requests that go out together. */
const ROUNDS = 400;
const REQUESTS_OF_A_ROUND = 50;
const RAW_CONNECTIONS = 400;
const SECRET = `secret-${unique('content')}`;

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

describe('a stranger who tries everything', () => {
  const [victim, friend, mallory] = [unique('victim'), unique('friend'), unique('mallory')];
  const group = unique('group');
  const victims = [unique('msg'), unique('msg')] as const;
  const agent = new Agent({ keepAlive: true, maxSockets: REQUESTS_OF_A_ROUND });
  const statuses = new Map<number, number>();
  let system: TestSystem;
  let db: Database;
  let tokens: string[];

  beforeAll(async () => {
    system = await startSystem({ IM_RATE_LIMIT_USER: '0', IM_RATE_LIMIT_ADDRESS: '0' });
    db = await openDatabase();
    const toGroup = {
      ...message({ senderId: friend, msgId: victims[1], content: SECRET }),
      conversation: groupConversation(group),
      recipientId: undefined,
    };
    await new MessageStore(db, { ttlMs: 600_000 }).storeOffline([
      offline({ senderId: friend, recipientId: victim, msgId: victims[0], content: SECRET }),
      { message: toGroup, recipients: [victim] },
    ]);
    tokens = await badTokens();
  });
  afterAll(async () => {
    agent.destroy();
    await db.close();
    await system.close();
  });

  /** Tokens that say to be the victim and must not count. */
  async function badTokens(): Promise<string[]> {
    const { exportJWK, generateKeyPair, SignJWT } = await import('jose');
    const exp = Math.floor(Date.now() / 1000) + 600;
    const { privateKey, publicKey } = await generateKeyPair('RS256');
    const jwk = await exportJWK(publicKey);
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = encode({ sub: victim, exp });
    const rs256 = new SignJWT({ sub: victim, exp }).setProtectedHeader({ alg: 'RS256', jwk });
    const other = new SignJWT({ sub: victim, exp }).setProtectedHeader({ alg: 'HS256' });
    return [
      `${encode({ alg: 'none' })}.${claims}.`,
      `${encode({ alg: 'none' })}.${claims}.AAAA`,
      `${encode({ alg: 'NoNe', typ: 'JWT' })}.${claims}.AAAA`,
      `${encode({ alg: 'HS256', b64: false, crit: ['b64'] })}.${claims}.AAAA`,
      await rs256.sign(privateKey),
      await other.sign(new TextEncoder().encode('another secret that is long enough, surely')),
      await tokenFor(victim, { exp: exp - 10_000 }),
      await tokenFor(victim, { exp: undefined }),
      await tokenFor(victim, { exp: 'soon' }).catch(() => 'a.b.c'),
      await tokenFor(`${victim}/x`),
      await tokenFor('', { sub: { id: victim } }),
    ];
  }

  /** A request that mallory, or nobody, may make: never a good token of the victim. */
  function requests(good: string): fc.Arbitrary<Sent> {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.constantFrom(
        ...victims,
        victim,
        group,
        `${friend}_${victim}`,
        `${friend}/${victim}`,
        '..',
        '%00',
        "' OR 1=1 -- ",
        '\u0000',
        '💥',
        '__proto__',
        '9'.repeat(30),
        '-1',
        '1e9',
        'NaN',
        '',
      ),
    );
    const encoded = text.map((value) => encodeURIComponent(Buffer.from(value).toString()));
    const authorization = fc.oneof(
      { weight: 4, arbitrary: fc.constant(`Bearer ${good}`) },
      { weight: 2, arbitrary: fc.constantFrom(...tokens).map((token) => `Bearer ${token}`) },
      { weight: 1, arbitrary: fc.string({ maxLength: 200 }).map((s) => s.replace(/[^ -~]/g, '')) },
    );
    const names = [
      'cursor',
      'limit',
      'msg_id',
      'after_sequence',
      'peer_id',
      '__proto__',
      'limit[]',
    ];
    const query = fc
      .array(fc.tuple(fc.constantFrom(...names), encoded), { maxLength: 4 })
      .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join('&'));
    const path = fc.oneof(
      fc.constantFrom(
        '/api/v1/offline',
        '/api/v1/offline/count',
        '/api/v1/messages/read',
        '/api/v1/messages/receipts',
        '/api/v1/messages/unread/count',
        '/api/v1/conversations/read',
        '/health',
        '/docs',
        '//api/v1/offline',
        '/api/v1/offline/../offline',
        '/api/v1/%6fffline',
        '/API/V1/OFFLINE',
        '/%E0%A4%A',
        '/api/v1/conversations/private/%E0%A4%A/messages',
      ),
      fc
        .tuple(fc.constantFrom('private', 'group', 'x', '..'), encoded)
        .map(([type, id]) => `/api/v1/conversations/${type}/${id}/messages`),
      encoded.map((value) => `/${value}`),
    );
    const field = fc.oneof(text, fc.integer(), fc.double(), fc.constant(null), fc.jsonValue());
    const body = fc.oneof(
      fc
        .record(
          {
            msg_id: field,
            read_at: field,
            device_id: field,
            conversation_type: fc.oneof(fc.constantFrom('private', 'group'), field),
            conversation_id: field,
            up_to_sequence: field,
          },
          { requiredKeys: [] },
        )
        .map((value) => JSON.stringify(value)),
      fc.json(),
      fc.string({ unit: 'binary', maxLength: 100 }),
      fc.constant(`{"msg_id":"${'x'.repeat(40_000)}"}`),
      fc.constant('['.repeat(10_000)),
      fc.constant(''),
    );
    const header = fc.constantFrom<Record<string, string>>(
      {},
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json' },
      { 'content-type': 'application/json', 'content-encoding': 'gzip' },
      { 'content-type': 'application/json; charset=utf-7' },
      { 'content-type': 'text/xml' },
      { 'x-forwarded-for': victim, 'x-real-ip': '1' },
      { 'x-http-method-override': 'DELETE' },
      { 'x-request-id': 'y'.repeat(2_000) },
      { 'accept-encoding': 'gzip;q=x, *;q=9' },
      { origin: 'null' },
      { traceparent: '00-zz' },
      { expect: 'something' },
    );
    return fc.record({
      method: fc.constantFrom(
        'GET',
        'GET',
        'POST',
        'POST',
        'DELETE',
        'PUT',
        'HEAD',
        'OPTIONS',
        'PROPFIND',
      ),
      path: fc.tuple(path, query).map(([p, q]) => (q ? `${p}?${q}` : p)),
      headers: fc.tuple(header, authorization).map(([h, a]) => ({ ...h, authorization: a })),
      body,
    });
  }

  function send({ method, path, headers, body }: Sent): Promise<{ status: number; text: string }> {
    const port = system.server.httpPort;
    return new Promise((resolve, reject) => {
      const sent = request({
        port,
        host: '127.0.0.1',
        method,
        path,
        headers,
        agent,
        timeout: 20_000,
      });
      sent.on('response', (response) => {
        const pieces: Buffer[] = [];
        response.on('data', (piece: Buffer) => pieces.push(piece));
        response.on('end', () =>
          resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString() }),
        );
        response.on('error', reject);
      });
      sent.on('timeout', () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
      sent.on('error', (error: NodeJS.ErrnoException) => {
        // A server that refuses a body may hang up while it is still being sent.
        if (error.code === 'EPIPE' || error.code === 'ECONNRESET') resolve({ status: 0, text: '' });
        else reject(error);
      });
      sent.end(['GET', 'HEAD'].includes(method) ? undefined : body);
    });
  }

  function judge({ status, text }: { status: number; text: string }, what: string): void {
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    if (status >= 500 && status !== 503) throw new Error(`${status} for ${what}`);
    for (const foreign of [SECRET, ...victims]) {
      if (text.includes(foreign)) throw new Error(`${foreign} was told for ${what}`);
    }
  }

  test('sees nothing of others and breaks nothing, in 20,000 requests', async () => {
    const good = await tokenFor(mallory, { scope: 'im:compliance' });
    const round = fc.array(requests(good), {
      minLength: REQUESTS_OF_A_ROUND,
      maxLength: REQUESTS_OF_A_ROUND,
    });
    await fc.assert(
      fc.asyncProperty(round, async (sent) => {
        const answers = await Promise.all(sent.map(send));
        answers.forEach((answer, i) => judge(answer, JSON.stringify(sent[i])));
      }),
      { numRuns: ROUNDS, endOnFailure: true },
    );
    const total = [...statuses.values()].reduce((sum, n) => sum + n, 0);
    console.log(`${total} requests`, Object.fromEntries(statuses));
    expect(total).toBeGreaterThanOrEqual(20_000);
    // Neither overload nor a wall of refusals stands in for safety.
    expect(statuses.get(200) ?? 0).toBeGreaterThan(total / 50);
    expect(statuses.get(503) ?? 0).toBeLessThan(total / 100);
  }, 240_000);

  test('may send bytes that are no HTTP at all', async () => {
    const lines = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 300 }),
      fc.constantFrom(
        'GET /api/v1/offline HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
        'POST /api/v1/messages/read HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n',
        'GET http://evil.example/api/v1/offline HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
        'GET / HTTP/9.9\r\n\r\n',
        `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
        'GET /api/v1/offline HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \x00\r\n\r\n',
        'OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      ),
    );
    const answer = (bytes: string): Promise<string> =>
      new Promise((resolve) => {
        let text = '';
        const socket = connect(system.server.httpPort, '127.0.0.1', () => socket.end(bytes));
        socket.on('data', (piece) => (text += piece.toString()));
        socket.on('close', () => resolve(text));
        socket.on('error', () => socket.destroy());
      });
    await fc.assert(
      fc.asyncProperty(lines, async (bytes) => {
        const text = await answer(bytes);
        const status = Number(/^HTTP\/1\.1 (\d+)/.exec(text)?.[1] ?? 0);
        judge({ status, text }, JSON.stringify(bytes.slice(0, 100)));
      }),
      { numRuns: RAW_CONNECTIONS },
    );
  }, 120_000);

  test('leaves everything as it was', async () => {
    const rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
    expect((await rest.get(victim, '/api/v1/offline')).body.messages).toHaveLength(2);
    const [receipts] = await db.select<{ n: number }>(
      'SELECT COUNT(*) AS n FROM read_receipts WHERE msg_id IN (?)',
      [victims],
    );
    expect(receipts?.n).toBe(0);
  });
});
