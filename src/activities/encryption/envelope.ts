/**
 * The envelope of stored content: JWE compact (RFC 7516), `dir` with A256GCM. The protected header,
 * which is authenticated, names the data key (`kid`) and the place of the message (`ctx`).
 */
import type { webcrypto } from 'node:crypto';
import { bindingOf } from '../../domain/encryption';
import type { Place } from '../../domain/encryption';

type Jose = typeof import('jose', { with: { 'resolution-mode': 'import' } });

const ALG = 'dir';
const ENC = 'A256GCM';
const SEGMENTS = 5;

/** It is not a ciphertext made for this place under this key. */
export class TamperedError extends Error {
  override readonly name = 'TamperedError';
}

export class Envelopes {
  private readonly encoder = new TextEncoder();
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  private constructor(private readonly jose: Jose) {}

  /** `jose` has ES modules only, which we load when we need them. */
  static async load(): Promise<Envelopes> {
    return new Envelopes(await import('jose'));
  }

  /** Makes a data key's bytes a key for {@link seal} and {@link open}. */
  importKey(bytes: Buffer): Promise<webcrypto.CryptoKey> {
    return crypto.subtle.importKey('raw', bytes, 'AES-GCM', false, ['encrypt', 'decrypt']);
  }

  seal(content: string, place: Place, keyId: string, key: webcrypto.CryptoKey): Promise<string> {
    return new this.jose.CompactEncrypt(this.encoder.encode(content))
      .setProtectedHeader({ alg: ALG, enc: ENC, kid: keyId, ctx: bindingOf(place) })
      .encrypt(key);
  }

  /** The content; rejects with {@link TamperedError}. */
  async open(jwe: string, place: Place, key: webcrypto.CryptoKey): Promise<string> {
    if (!isCanonical(jwe)) throw new TamperedError('not a canonical JWE');
    try {
      const { plaintext, protectedHeader } = await this.jose.compactDecrypt(jwe, key, {
        keyManagementAlgorithms: [ALG],
        contentEncryptionAlgorithms: [ENC],
      });
      if (protectedHeader['ctx'] !== bindingOf(place)) throw new TamperedError('of another place');
      return this.decoder.decode(plaintext);
    } catch (cause) {
      throw new TamperedError('does not decrypt', { cause });
    }
  }

  /** The id of the key it says it is encrypted under; throws {@link TamperedError}. */
  keyIdOf(jwe: string): string {
    try {
      const { kid } = this.jose.decodeProtectedHeader(jwe);
      if (typeof kid === 'string') return kid;
    } catch (cause) {
      throw new TamperedError('no protected header', { cause });
    }
    throw new TamperedError('names no key');
  }
}

/**
 * Whether each segment is the one base64url text of its bytes: the last character has bits that do not
 * count, and a decoder that is kind to them opens ciphertexts that nobody made.
 */
function isCanonical(jwe: string): boolean {
  const segments = jwe.split('.');
  return (
    segments.length === SEGMENTS &&
    segments.every((text) => Buffer.from(text, 'base64url').toString('base64url') === text)
  );
}
