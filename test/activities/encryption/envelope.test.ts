import { randomBytes } from 'node:crypto';
import type { webcrypto } from 'node:crypto';
import fc from 'fast-check';
import { Envelopes, TamperedError } from '../../../src/activities/encryption/envelope';
import { groupConversation } from '../../../src/domain/ids';
import { message } from '../../support/records';

const MUTATIONS = 10_000;
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('an envelope', () => {
  let envelopes: Envelopes;
  let key: webcrypto.CryptoKey;
  const place = message();
  const seal = (content: string) => envelopes.seal(content, place, 'key-1', key);

  beforeAll(async () => {
    envelopes = await Envelopes.load();
    key = await envelopes.importKey(randomBytes(32));
  });

  it('is a compact JWE, dir with A256GCM, that names its key and shows nothing of its content', async () => {
    const jwe = await seal('canary');
    const [header, encryptedKey, , ciphertext] = jwe.split('.') as [string, string, string, string];
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({
      alg: 'dir',
      enc: 'A256GCM',
      kid: 'key-1',
      ctx: expect.stringMatching(/^[\w-]{43}$/) as string,
    });
    expect(encryptedKey).toBe('');
    expect(Buffer.from(ciphertext, 'base64url')).toHaveLength('canary'.length);
    expect(envelopes.keyIdOf(jwe)).toBe('key-1');
    expect(await seal('canary')).not.toBe(jwe);
  });

  it('gives back any Unicode text as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 2_000 }), async (text) => {
        expect(await envelopes.open(await seal(text), place, key)).toBe(text);
      }),
      { numRuns: 1_000, examples: [[''], ['\uFEFFbom'], ['\0'], ['👩‍👩‍👧'.repeat(400)]] },
    );
  });

  it(`opens for none of ${MUTATIONS} mutations`, async () => {
    const jwe = await seal('the quick brown fox');
    let opened = 0;
    let tried = 0;
    const mutate = (seed: number): string => {
      const at = seed % jwe.length;
      const other = BASE64URL[(seed * 7 + at) % 64] as string;
      switch (seed % 5) {
        case 0:
          return jwe.slice(0, at) + other + jwe.slice(at + 1);
        case 1:
          return jwe.slice(0, at) + jwe.slice(at + 1);
        case 2:
          return jwe.slice(0, at) + other + jwe.slice(at);
        case 3:
          // White space and padding, which kind decoders skip.
          return jwe.slice(0, at) + (' \n\t=+/.\u200B'[seed % 8] as string) + jwe.slice(at);
        default: {
          const [a, b] = [at, (seed * 31) % jwe.length].sort((x, y) => x - y) as [number, number];
          return jwe.slice(0, a) + [...jwe.slice(a, b)].reverse().join('') + jwe.slice(b);
        }
      }
    };
    for (let seed = 0; tried < MUTATIONS; seed++) {
      const mutated = mutate(seed);
      if (mutated === jwe) continue;
      tried += 1;
      await envelopes.open(mutated, place, key).then(
        () => (opened += 1),
        (error: unknown) => expect(error).toBeInstanceOf(TamperedError),
      );
    }
    expect({ tried, opened }).toEqual({ tried: MUTATIONS, opened: 0 });
  });

  it('opens for none of the characters that could stand in any one place', async () => {
    const jwe = await seal('x');
    for (let at = 0; at < jwe.length; at++) {
      for (const other of BASE64URL) {
        if (other === jwe[at]) continue;
        const mutated = jwe.slice(0, at) + other + jwe.slice(at + 1);
        await expect(envelopes.open(mutated, place, key)).rejects.toThrow(TamperedError);
      }
    }
  });

  test.each([
    ['another id', { msgId: 'other' }],
    ['another sender', { senderId: 'other' }],
    ['another conversation', { conversation: { ...place.conversation, key: 'a/b' } }],
    ['a group of that name', { conversation: groupConversation(place.conversation.key) }],
  ])('does not open as a message of %s', async (_, change) => {
    const jwe = await seal('x');
    await expect(envelopes.open(jwe, { ...place, ...change }, key)).rejects.toThrow(TamperedError);
    expect(await envelopes.open(jwe, place, key)).toBe('x');
  });

  it('does not open under another key', async () => {
    const other = await envelopes.importKey(randomBytes(32));
    await expect(envelopes.open(await seal('x'), place, other)).rejects.toThrow(TamperedError);
  });
});
