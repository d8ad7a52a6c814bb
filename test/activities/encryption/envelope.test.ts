import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { Envelopes, TamperedError } from '../../../src/activities/encryption/envelope';
import { bindingOf } from '../../../src/domain/encryption';
import { groupConversation } from '../../../src/domain/ids';
import { message } from '../../support/records';

const MUTATIONS = 10_000;
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

describe('an envelope', () => {
  const envelopes = new Envelopes();
  const key = envelopes.importKey(randomBytes(32));
  const place = message();
  const seal = (content: string) => envelopes.seal(content, place, 'key-1', key);

  it('is a compact JWE, dir with A256GCM, that names its key and shows nothing of its content', () => {
    const jwe = seal('canary');
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
    expect(seal('canary')).not.toBe(jwe);
  });

  it('gives back any Unicode text as it was, and jose reads the same', async () => {
    const { compactDecrypt } = await import('jose');
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 2_000 }), async (text) => {
        const jwe = seal(text);
        expect(envelopes.open(jwe, place, key)).toBe(text);
        const { plaintext } = await compactDecrypt(jwe, key);
        expect(Buffer.from(plaintext).equals(Buffer.from(text))).toBe(true);
      }),
      { numRuns: 1_000, examples: [[''], ['\uFEFFbom'], ['\0'], ['👩‍👩‍👧'.repeat(400)]] },
    );
  });

  it(`opens for none of ${MUTATIONS} mutations`, () => {
    const jwe = seal('the quick brown fox');
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
      try {
        envelopes.open(mutated, place, key);
        opened += 1;
      } catch (error) {
        expect(error).toBeInstanceOf(TamperedError);
      }
    }
    expect({ tried, opened }).toEqual({ tried: MUTATIONS, opened: 0 });
  });

  it('opens for none of the characters that could stand in any one place', () => {
    const jwe = seal('x');
    for (let at = 0; at < jwe.length; at++) {
      for (const other of BASE64URL) {
        if (other === jwe[at]) continue;
        const mutated = jwe.slice(0, at) + other + jwe.slice(at + 1);
        expect(() => envelopes.open(mutated, place, key)).toThrow(TamperedError);
      }
    }
  });

  test.each([
    ['another id', { msgId: 'other' }],
    ['another sender', { senderId: 'other' }],
    ['another conversation', { conversation: { ...place.conversation, key: 'a/b' } }],
    ['a group of that name', { conversation: groupConversation(place.conversation.key) }],
  ])('does not open as a message of %s', (_, change) => {
    const jwe = seal('x');
    expect(() => envelopes.open(jwe, { ...place, ...change }, key)).toThrow(TamperedError);
    expect(envelopes.open(jwe, place, key)).toBe('x');
  });

  it('opens what jose seals for the same place, and only with a header like ours', async () => {
    const { CompactEncrypt } = await import('jose');
    const ctx = bindingOf(place);
    const header = { alg: 'dir', enc: 'A256GCM', kid: 'key-1', ctx };
    const sealed = (change: object) =>
      new CompactEncrypt(Buffer.from('x'))
        .setProtectedHeader({ ...header, ...change })
        .encrypt(key);
    expect(envelopes.open(await sealed({}), place, key)).toBe('x');
    for (const change of [{ typ: 'JWT' }, { ctx: undefined }, { ctx: [ctx] }]) {
      const jwe = await sealed(change);
      expect(() => envelopes.open(jwe, place, key)).toThrow(TamperedError);
    }
    const kidless = await sealed({ kid: undefined });
    expect(() => envelopes.keyIdOf(kidless)).toThrow(TamperedError);
  });

  it('does not open with a tag that is cut short', () => {
    const [short] = /^.*\.[\w-]{16}/.exec(seal('x')) ?? [];
    expect(() => envelopes.open(short as string, place, key)).toThrow(TamperedError);
  });

  it('does not open under another key', () => {
    const other = envelopes.importKey(randomBytes(32));
    expect(() => envelopes.open(seal('x'), place, other)).toThrow(TamperedError);
  });
});
