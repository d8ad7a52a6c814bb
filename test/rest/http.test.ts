/** What every request to REST gets, whatever it asks. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Database } from '../../src/activities/mysql/database';
import { MessageStore } from '../../src/activities/mysql/message-store';
import { projectRoot } from '../../src/paths';
import { unique } from '../support/ids';
import { openDatabase } from '../support/mysql';
import { message, series } from '../support/records';
import { RestClient, tokenFor } from '../support/rest-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';

interface Detailed {
  readonly detail: string;
}

/** Short, for the test that waits for it; ten times what a request needs. */
const DEADLINE_MS = 2_000;

describe('REST', () => {
  let system: TestSystem;
  let db: Database;
  let rest: RestClient;

  beforeAll(async () => {
    system = await startSystem({
      IM_CORS_ORIGINS: 'https://app.example',
      IM_RATE_LIMIT_USER: '20',
      IM_HTTP_DEADLINE_MS: String(DEADLINE_MS),
    });
    db = await openDatabase();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  });
  afterAll(async () => {
    await db.close();
    await system.close();
  });

  const bearer = async (user: string) => ({ authorization: `Bearer ${await tokenFor(user)}` });

  test('answers errors as problem details, with a code and the id of the request', async () => {
    const { status, headers, body } = await rest.get(undefined, '/api/v1/offline');
    expect(status).toBe(401);
    expect(headers.get('content-type')).toContain('application/problem+json');
    expect(headers.get('www-authenticate')).toBe('Bearer realm="im-service"');
    expect(body).toEqual({
      type: 'urn:im-service:problem:unauthenticated',
      title: 'Unauthenticated',
      status: 401,
      detail: 'a bearer token is needed',
      code: 'UNAUTHENTICATED',
      request_id: headers.get('x-request-id'),
    });
    const unknown = await rest.send('GET', '/no/such/thing');
    expect([unknown.status, unknown.body.code]).toEqual([404, 'NOT_FOUND']);
    const wrong = await rest.send('POST', '/api/v1/offline');
    expect([wrong.status, wrong.body.code]).toEqual([405, 'METHOD_NOT_ALLOWED']);
    expect(wrong.headers.get('allow')).toContain('GET');
  });

  test('keeps the caller’s request id when it is one, and makes one when it is not', async () => {
    const kept = await rest.send('GET', '/health', { 'x-request-id': 'trace-1.2:3' });
    expect(kept.headers.get('x-request-id')).toBe('trace-1.2:3');
    const made = await rest.send('GET', '/health', { 'x-request-id': 'x'.repeat(500) });
    expect(made.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/);
  });

  test('takes JSON alone, of a bounded size', async () => {
    const auth = await bearer(unique('user'));
    const post = (type: string, body: string) =>
      rest.send('POST', '/api/v1/messages/read', { ...auth, 'content-type': type }, body);
    expect((await post('text/plain', '{}')).body.code).toBe('UNSUPPORTED_MEDIA_TYPE');
    expect((await post('application/json', '{')).body.code).toBe('INVALID_REQUEST');
    expect((await post('application/json', '')).body.code).toBe('INVALID_REQUEST');
    expect((await post('application/json', '[]')).body.code).toBe('INVALID_REQUEST');
    const huge = JSON.stringify({ msg_id: 'x'.repeat(20_000) });
    expect((await post('application/json', huge)).body.code).toBe('BODY_TOO_LARGE');
    const bad = await post('application/json; charset=latin9', '{}');
    expect(bad.status).toBeLessThan(500);
  });

  /** Everything that comes back for these bytes until the server hangs up. */
  function answerTo(bytes: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let answer = '';
      const { httpPort } = system.server;
      const socket = connect(httpPort, '127.0.0.1', () => socket.write(bytes));
      socket.on('data', (piece) => (answer += piece.toString()));
      socket.on('end', () => socket.end());
      socket.on('close', () => resolve(answer));
      socket.on('error', reject);
    });
  }

  test('of HTTP/1.1 must name a host', async () => {
    const text = await answerTo('GET /health HTTP/1.1\r\nConnection: close\r\n\r\n');
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
    expect(text).toContain('"code":"INVALID_REQUEST"');
  });

  test('waits for a body no longer than for an answer, and then hangs up', async () => {
    const { authorization } = await bearer(unique('user'));
    const text = await answerTo(
      `POST /api/v1/messages/read HTTP/1.1\r\nHost: x\r\nAuthorization: ${authorization}\r\n` +
        'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"msg_id":',
    );
    expect(text).toMatch(/^HTTP\/1\.1 408 /);
    expect(text).toMatch(/^content-type: application\/problem\+json/im);
    expect(text).toContain('"code":"REQUEST_TIMEOUT"');
    expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1);
  });

  test('says what is wrong with a request, and never repeats what was sent', async () => {
    const user = unique('user');
    const at = async (path: string) => (await rest.get(user, path)).body as unknown as Detailed;
    const posted = async (path: string, body: object) =>
      (await rest.post(user, path, body)).body as unknown as Detailed;
    const read = '/api/v1/messages/read';
    const whole = { conversation_id: 'x', up_to_sequence: 1 };
    expect([
      (await at('/api/v1/offline?limit=101')).detail,
      (await at('/api/v1/offline?limit=5&limit=6')).detail,
      (await at('/api/v1/messages/receipts')).detail,
      (await posted(read, { msg_id: 1 })).detail,
      (await posted(read, { msg_id: 'x', read_at: -1 })).detail,
      (await posted('/api/v1/conversations/read', { ...whole, conversation_type: 'secret' }))
        .detail,
    ]).toEqual([
      'query.limit: must be from 1 to 100',
      'query.limit: must be given once, as a string',
      'query.msg_id: must be given once, as a string',
      'body.msg_id: must be given once, as a string',
      'body.read_at: must be at least 0',
      'body.conversation_type: must be one of private, group',
    ]);
  });

  test('does not care what a client expects of it', async () => {
    const to = { port: system.server.httpPort, path: '/health' };
    const status = await new Promise((resolve, reject) => {
      const sent = request({ ...to, headers: { expect: 'the impossible' } });
      sent.on('response', (response) => resolve(response.resume().statusCode));
      sent.on('error', reject);
      sent.end();
    });
    expect(status).toBe(200);
  });

  test('carries security headers', async () => {
    for (const path of ['/health', '/api/v1/offline', '/docs']) {
      const { headers } = await rest.get(unique('user'), path);
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('content-security-policy')).toContain("default-src 'none'");
      expect(headers.get('cache-control')).toBe('no-store');
    }
  });

  test('may be called by pages of the configured origins alone', async () => {
    const preflight = (origin: string) =>
      rest.send('OPTIONS', '/api/v1/offline', { origin, 'access-control-request-method': 'GET' });
    const ours = await preflight('https://app.example');
    expect(ours.headers.get('access-control-allow-origin')).toBe('https://app.example');
    const foreign = await preflight('https://evil.example');
    expect(foreign.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('compresses large pages', async () => {
    const user = unique('user');
    await new MessageStore(db, { ttlMs: 600_000 }).storeOffline(series(50, user));
    const auth = await bearer(user);
    const large = await rest.send('GET', '/api/v1/offline', { ...auth, 'accept-encoding': 'gzip' });
    expect(large.headers.get('content-encoding')).toBe('gzip');
    expect(large.body.messages).toHaveLength(50);
    const small = await rest.send('GET', '/health', { 'accept-encoding': 'gzip' });
    expect(small.headers.get('content-encoding')).toBeNull();
  });

  test('limits the requests of one user, and says so in the headers of the IETF draft', async () => {
    const [greedy, modest] = [unique('greedy'), unique('modest')];
    const answers = [];
    for (let i = 0; i < 22; i++) answers.push(await rest.get(greedy, '/api/v1/offline/count'));
    expect(answers[0]?.headers.get('ratelimit-policy')).toBe('"user";q=20;w=60');
    expect(answers[0]?.headers.get('ratelimit')).toMatch(/^"user";r=19;t=\d+$/);
    const refused = answers.at(-1);
    expect([refused?.status, refused?.body.code]).toEqual([429, 'RATE_LIMITED']);
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect((await rest.get(modest, '/api/v1/offline/count')).status).toBe(200);
  });

  test('serves its documentation without loading anything from outside', async () => {
    const page = await rest.send('GET', '/docs');
    expect(page.status).toBe(200);
    expect(page.text).not.toMatch(/<script|<link|<img|https?:\/\/(?!127)/);
    const { openapi } = (await rest.openApi()) as unknown as { openapi: string };
    expect(openapi).toBe('3.1.0');
    for (const path of Object.keys((await rest.openApi()).paths)) expect(page.text).toContain(path);
  });

  test('serves a document that is OpenAPI 3.1, by a validator that is not ours', async () => {
    const { text } = await rest.send('GET', '/openapi.json');
    const folder = mkdtempSync(join(tmpdir(), 'im-openapi-'));
    const bin = '@seriousme/openapi-schema-validator/bin/validate-api-cli.js';
    try {
      writeFileSync(join(folder, 'openapi.json'), text);
      const program = join(projectRoot(), 'node_modules', bin);
      const verdict = execFileSync(process.execPath, [program, join(folder, 'openapi.json')]);
      expect(JSON.parse(verdict.toString())).toEqual({ valid: true });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('measures every route by its pattern, never by its path', async () => {
    const user = unique('user');
    await rest.get(user, `/api/v1/conversations/group/${user}/messages`);
    const { text } = await rest.send('GET', '/metrics');
    expect(text).toContain('route="/api/v1/conversations/:type/:id/messages"');
    expect(text).not.toContain(user);
  });
});

describe('the history of a conversation', () => {
  let system: TestSystem;
  let db: Database;
  let rest: RestClient;
  beforeAll(async () => {
    system = await startSystem();
    db = await openDatabase();
    rest = new RestClient(`http://127.0.0.1:${system.server.httpPort}`);
  });
  afterAll(async () => {
    await db.close();
    await system.close();
  });

  test('fills the gap above a sequence number, page by page', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await new MessageStore(db, { ttlMs: 600_000 }).storeOffline(series(25, bob, alice));
    const path = `/api/v1/conversations/private/${alice}_${bob}/messages`;
    const seen: number[] = [];
    for (let after = 5, more = true; more;) {
      const { body } = await rest.get(alice, `${path}?after_sequence=${after}&limit=8`);
      seen.push(...body.messages.map((m) => m.sequence_number));
      after = body.next_after_sequence;
      more = body.has_more;
    }
    expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i + 6));
  });

  test('of an id that names two pairs of users is shown to the right pair alone', async () => {
    const x = unique('x');
    // Both conversations read `a_b_c`: (a_b, c) and (a, b_c).
    const [a, b, c] = [`${x}a`, `${x}b`, `${x}c`];
    await new MessageStore(db, { ttlMs: 600_000 }).storeDelivered([
      {
        message: message({ senderId: `${a}_${b}`, recipientId: c, content: 'for c' }),
        deliveredAt: 1,
        devices: ['d'],
      },
    ]);
    const path = `/api/v1/conversations/private/${a}_${b}_${c}/messages`;
    expect((await rest.get(c, path)).body.messages).toHaveLength(1);
    expect((await rest.get(`${a}_${b}`, path)).body.messages).toHaveLength(1);
    expect((await rest.get(a, path)).status).toBe(404);
    expect((await rest.get(`${b}_${c}`, path)).status).toBe(404);
  });

  test('asks a caller with two conversations of one id which they mean', async () => {
    const x = unique('a');
    const me = `${x}_b_${x}`;
    const peers = [`${x}_b`, `b_${x}`];
    await new MessageStore(db, { ttlMs: 600_000 }).storeDelivered(
      peers.map((peer) => ({
        message: message({ senderId: me, recipientId: peer, content: `to ${peer}` }),
        deliveredAt: 1,
        devices: ['d'],
      })),
    );
    const path = `/api/v1/conversations/private/${x}_b_${x}_b_${x}/messages`;
    const unclear = await rest.get(me, path);
    expect([unclear.status, unclear.body.code]).toEqual([409, 'AMBIGUOUS_CONVERSATION']);
    for (const peer of peers) {
      const { body } = await rest.get(me, `${path}?peer_id=${peer}`);
      expect(body.messages[0]?.content).toBe(`to ${peer}`);
    }
  });
});
