/** Bearer tokens: what is let in, and what is not. */
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TokenVerifier } from '../../src/api/rest/token-verifier';
import type { TokenOptions } from '../../src/api/rest/token-verifier';
import { log } from '../support/kafka';

const SECRET = 'a secret of the tests, with enough bits in it';
const now = (): number => Math.floor(Date.now() / 1000);

/** All that jest can fake, but `Date`. */
const NOT_THE_CLOCK = [
  'hrtime',
  'nextTick',
  'performance',
  'queueMicrotask',
  'setImmediate',
  'clearImmediate',
  'setInterval',
  'clearInterval',
  'setTimeout',
  'clearTimeout',
] as const;

type Claims = Record<string, unknown>;

async function signed(claims: Claims, secret = SECRET, alg = 'HS256'): Promise<string> {
  const { SignJWT } = await import('jose');
  const token = new SignJWT({ sub: 'alice', exp: now() + 60, ...claims });
  return token.setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));
}

function verifier(options: Partial<TokenOptions> = {}): Promise<TokenVerifier> {
  return TokenVerifier.create({
    secret: SECRET,
    jwks: undefined,
    issuer: undefined,
    audience: undefined,
    clockToleranceS: 5,
    log,
    ...options,
  });
}

const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a token signed with the secret', () => {
  test('names its user and those of its scopes that we know', async () => {
    const token = await signed({ scope: 'im:compliance other im:operator' });
    const caller = await (await verifier()).verify(`Bearer ${token}`);
    expect(caller.userId).toBe('alice');
    expect([...caller.scopes]).toEqual(['im:compliance', 'im:operator']);
  });

  test.each([
    ['no header', undefined],
    ['another scheme', 'Basic YTpi'],
    ['no token', 'Bearer '],
    ['two tokens', 'Bearer a.b.c d.e.f'],
    ['nonsense', 'Bearer a.b.c'],
  ])('%s is refused', async (_name, header) => {
    await expect((await verifier()).verify(header)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      status: 401,
    });
  });

  test.each<[string, () => Promise<string>]>([
    ['expired', () => signed({ exp: now() - 10 })],
    ['without exp', () => signed({ exp: undefined })],
    ['not yet valid', () => signed({ nbf: now() + 60 })],
    ['without sub', () => signed({ sub: undefined })],
    ['of a sub that is no id', () => signed({ sub: 'a/b' })],
    ['of a sub that is too long', () => signed({ sub: 'x'.repeat(129) })],
    ['with another secret', () => signed({}, 'another secret, with enough bits in it too')],
    ['with another algorithm', () => signed({}, SECRET.repeat(2), 'HS512')],
    [
      'with alg none',
      () =>
        Promise.resolve(`${encode({ alg: 'none' })}.${encode({ sub: 'alice', exp: now() + 60 })}.`),
    ],
    [
      'with alg none and a signature',
      () =>
        Promise.resolve(
          `${encode({ alg: 'none' })}.${encode({ sub: 'alice', exp: now() + 60 })}.AA`,
        ),
    ],
    [
      'with a changed payload',
      async () =>
        (await signed({})).replace(/\.[^.]+\./, `.${encode({ sub: 'bob', exp: now() + 60 })}.`),
    ],
  ])('%s is refused', async (_name, make) => {
    await expect((await verifier()).verify(`Bearer ${await make()}`)).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      headers: { 'www-authenticate': expect.stringContaining('Bearer') as string },
    });
  });

  test('counts within the clock tolerance after it expired', async () => {
    const token = await signed({ exp: now() - 2 });
    expect((await (await verifier()).verify(`Bearer ${token}`)).userId).toBe('alice');
  });

  test('must have the issuer and the audience that are configured', async () => {
    const strict = await verifier({ issuer: 'https://issuer', audience: 'im' });
    const right = await signed({ iss: 'https://issuer', aud: ['other', 'im'] });
    expect((await strict.verify(`Bearer ${right}`)).userId).toBe('alice');
    for (const claims of [{ aud: 'im' }, { iss: 'https://issuer' }, { iss: 'x', aud: 'im' }]) {
      await expect(strict.verify(`Bearer ${await signed(claims)}`)).rejects.toMatchObject({
        code: 'UNAUTHENTICATED',
      });
    }
  });
});

describe('a token that was verified', () => {
  test('is remembered, for its own user only, and one that was refused never is', async () => {
    const tokens = await verifier();
    const [alice, bob] = [await signed({ scope: 'im:operator' }), await signed({ sub: 'bob' })];
    const forged = await signed({ sub: 'carol' }, 'another secret, with enough bits in it too');
    expect(tokens.remembered(`Bearer ${alice}`)).toBeUndefined();
    const caller = await tokens.verify(`Bearer ${alice}`);
    await tokens.verify(`Bearer ${bob}`);
    await expect(tokens.verify(`Bearer ${forged}`)).rejects.toMatchObject({ status: 401 });
    expect(tokens.remembered(`Bearer ${alice}`)).toEqual(caller);
    expect(tokens.remembered(`Bearer ${bob}`)?.userId).toBe('bob');
    for (const header of [
      undefined,
      '',
      'Bearer ',
      `Bearer ${forged}`,
      `Bearer ${alice}x`,
      alice,
    ]) {
      expect(tokens.remembered(header)).toBeUndefined();
    }
  });

  test('is forgotten when it expires, to the second that jose refuses it', async () => {
    const tokens = await verifier({ clockToleranceS: 1 });
    const header = `Bearer ${await signed({ exp: now() + 1 })}`;
    await tokens.verify(header);
    for (let isGood = true; isGood; await sleep(50)) {
      const [second, remembered] = [now(), tokens.remembered(header) !== undefined];
      isGood = (await Promise.allSettled([tokens.verify(header)]))[0].status === 'fulfilled';
      // Between the two looks the clock may have gone on.
      if (now() === second) expect(remembered).toBe(isGood);
    }
    expect(tokens.remembered(header)).toBeUndefined();
  });
});

describe('a token signed with a key of a JWKS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'im-jwks-'));
  const file = join(folder, 'keys.json');
  afterAll(() => rmSync(folder, { recursive: true }));

  async function keyPair(alg: string, kid: string) {
    const { exportJWK, generateKeyPair, SignJWT } = await import('jose');
    const { publicKey, privateKey } = await generateKeyPair(alg, { extractable: true });
    return {
      jwk: { ...(await exportJWK(publicKey)), kid, alg },
      publicKey,
      token: (sub = 'alice') =>
        new SignJWT({ sub, exp: now() + 3_600 }).setProtectedHeader({ alg, kid }).sign(privateKey),
    };
  }

  test.each(['RS256', 'ES256', 'EdDSA'])(
    '%s is let in, and the secret counts for nothing',
    async (alg) => {
      const key = await keyPair(alg, alg);
      writeFileSync(file, JSON.stringify({ keys: [key.jwk] }));
      const keys = await verifier({ jwks: file });
      expect((await keys.verify(`Bearer ${await key.token()}`)).userId).toBe('alice');
      await expect(keys.verify(`Bearer ${await signed({})}`)).rejects.toMatchObject({
        status: 401,
      });
    },
  );

  test('the public key is no secret: HS256 signed with it is refused', async () => {
    const { exportSPKI } = await import('jose');
    const key = await keyPair('RS256', 'one');
    writeFileSync(file, JSON.stringify({ keys: [key.jwk] }));
    const token = await signed({}, await exportSPKI(key.publicKey));
    await expect((await verifier({ jwks: file })).verify(`Bearer ${token}`)).rejects.toMatchObject({
      status: 401,
    });
  });

  test('a file that changes brings new keys and takes old ones away', async () => {
    const [old, fresh] = [await keyPair('ES256', 'old'), await keyPair('ES256', 'fresh')];
    writeFileSync(file, JSON.stringify({ keys: [old.jwk] }));
    const keys = await verifier({ jwks: file });
    const before = `Bearer ${await old.token()}`;
    await keys.verify(before);
    expect(keys.remembered(before)?.userId).toBe('alice');
    writeFileSync(file, JSON.stringify({ keys: [fresh.jwk] }));
    utimesSync(file, new Date(), new Date(Date.now() + 5_000));
    await sleep(1_100);
    // The file must be looked at before anything is believed.
    expect(keys.remembered(before)).toBeUndefined();
    expect((await keys.verify(`Bearer ${await fresh.token()}`)).userId).toBe('alice');
    expect(keys.remembered(before)).toBeUndefined();
    await expect(keys.verify(before)).rejects.toMatchObject({ status: 401 });
  });

  test('a file that is broken, or away, leaves the keys as they were', async () => {
    const key = await keyPair('ES256', 'kept');
    writeFileSync(file, JSON.stringify({ keys: [key.jwk] }));
    const keys = await verifier({ jwks: file });
    const after = () => new Promise((resolve) => setTimeout(resolve, 1_100));
    for (const damage of [() => writeFileSync(file, '{"keys":'), () => rmSync(file)]) {
      damage();
      await after();
      expect((await keys.verify(`Bearer ${await key.token()}`)).userId).toBe('alice');
    }
    const fresh = await keyPair('ES256', 'fresh');
    writeFileSync(file, JSON.stringify({ keys: [fresh.jwk] }));
    await after();
    expect((await keys.verify(`Bearer ${await fresh.token()}`)).userId).toBe('alice');
  });

  test('a URL whose keys change brings new ones and takes old ones away', async () => {
    const [old, fresh] = [await keyPair('ES256', 'old'), await keyPair('ES256', 'fresh')];
    let published = [old.jwk];
    const issuer = createServer((_, response) => response.end(JSON.stringify({ keys: published })));
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', () => resolve()));
    const { port } = issuer.address() as AddressInfo;
    const keys = await verifier({ jwks: `http://127.0.0.1:${port}/keys` });
    // Only the clock is a made-up one.
    jest.useFakeTimers({ doNotFake: [...NOT_THE_CLOCK] });
    try {
      await keys.verify(`Bearer ${await old.token()}`);
      published = [fresh.jwk];
      const token = await fresh.token();
      // A made-up key id must not make us ask again and again.
      await expect(keys.verify(`Bearer ${token}`)).rejects.toMatchObject({ status: 401 });
      jest.setSystemTime(Date.now() + 11_000);
      expect((await keys.verify(`Bearer ${token}`)).userId).toBe('alice');
      await expect(keys.verify(`Bearer ${await old.token()}`)).rejects.toMatchObject({
        status: 401,
      });
    } finally {
      jest.useRealTimers();
      issuer.closeAllConnections();
      await new Promise((resolve) => issuer.close(resolve));
    }
  });

  test('a URL that is away leaves the keys as they were, for an hour', async () => {
    const key = await keyPair('ES256', 'kept');
    let status = 200;
    const issuer = createServer((_, response) => {
      response.statusCode = status;
      response.end(JSON.stringify({ keys: [key.jwk] }));
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', () => resolve()));
    const { port } = issuer.address() as AddressInfo;
    const keys = await verifier({ jwks: `http://127.0.0.1:${port}/keys` });
    jest.useFakeTimers({ doNotFake: [...NOT_THE_CLOCK] });
    try {
      const minutesLater = async (minutes: number) => {
        jest.setSystemTime(Date.now() + minutes * 60_000);
        return keys.verify(`Bearer ${await key.token()}`);
      };
      await minutesLater(0);
      status = 500;
      expect((await minutesLater(11)).userId).toBe('alice');
      expect((await minutesLater(30)).userId).toBe('alice');
      await expect(minutesLater(30)).rejects.toMatchObject({ code: 'SERVICE_UNAVAILABLE' });
      status = 200;
      expect((await minutesLater(0)).userId).toBe('alice');
    } finally {
      jest.useRealTimers();
      issuer.closeAllConnections();
      await new Promise((resolve) => issuer.close(resolve));
    }
  });

  test('a URL is asked once for many tokens; one that fails is our fault, not the caller’s', async () => {
    const key = await keyPair('RS256', 'web');
    let asked = 0;
    let failing = false;
    const issuer: Server = createServer((_request, response) => {
      asked += 1;
      response.statusCode = failing ? 500 : 200;
      response.end(JSON.stringify({ keys: [key.jwk] }));
    });
    await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', () => resolve()));
    const jwks = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}/keys`;
    const keys = await verifier({ jwks });
    const tokens = await Promise.all([key.token('a'), key.token('b'), key.token('c')]);
    for (const token of tokens) await keys.verify(`Bearer ${token}`);
    expect(asked).toBe(1);
    // The first one brought the keys, so that nobody can say which it was verified with.
    const remembered = tokens.map((token) => keys.remembered(`Bearer ${token}`)?.userId);
    expect(remembered).toEqual([undefined, 'b', 'c']);
    // An unknown key id fetches again once the cooldown is over: what was remembered is asked anew then.
    jest.useFakeTimers({ now: Date.now() + 20_000, doNotFake: [...NOT_THE_CLOCK] });
    const stranger = await keyPair('RS256', 'stranger');
    await expect(keys.verify(`Bearer ${await stranger.token()}`)).rejects.toThrow();
    expect(asked).toBe(2);
    expect(keys.remembered(`Bearer ${tokens[1]}`)).toBeUndefined();
    await keys.verify(`Bearer ${tokens[1]}`);
    expect(keys.remembered(`Bearer ${tokens[1]}`)?.userId).toBe('b');
    // Keys too old to be used are too old for what was verified with them.
    jest.setSystemTime(Date.now() + 11 * 60_000);
    expect(keys.remembered(`Bearer ${tokens[1]}`)).toBeUndefined();
    jest.useRealTimers();
    failing = true;
    await expect((await verifier({ jwks })).verify(`Bearer ${tokens[0]}`)).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
    issuer.closeAllConnections();
    await new Promise((resolve) => issuer.close(resolve));
    await expect((await verifier({ jwks })).verify(`Bearer ${tokens[0]}`)).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
    });
  });
});
