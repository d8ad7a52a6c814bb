/**
 * The envelope of stored content: JWE compact (RFC 7516), `dir` with A256GCM. The protected header,
 * which is authenticated, names the data key (`kid`) and the place of the message (`ctx`).
 *
 * `jose` opens it. Sealing is on the way of every message, and there `jose` costs about 75 µs of CPU, most of
 * it for handing a few bytes to a thread and back; so we write the five segments ourselves, by RFC 7516
 * section 5.1, in 10 µs. That what we seal is what `jose` opens is what the tests are about.
 */
import { createCipheriv, createSecretKey, randomFillSync } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };
import { bindingOf } from '../../domain/encryption';
import type { Place } from '../../domain/encryption';

const ALG = 'dir';
const ENC = 'A256GCM';
const SEGMENTS = 5;
const HEADER_START = Buffer.from('{"alg"').toString('base64url');
/** RFC 7518, section 5.3: a nonce of 96 bits, a tag of 128. Random: 2^32 messages under one key. */
const NONCE_BYTES = 12;
const NONCES_A_DRAW = 256;

/** It is not a ciphertext made for this place under this key. */
export class TamperedError extends Error {
  override readonly name = 'TamperedError';
}

export class Envelopes {
  private readonly decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

  /** Random bytes drawn ahead: a draw costs as much as half a sealing, however few it gives. */
  private readonly nonces = Buffer.alloc(NONCE_BYTES * NONCES_A_DRAW);
  private noncesUsed = this.nonces.length;

  private constructor(private readonly jose: typeof Jose) {}

  /** `jose` has ES modules only, which CommonJS loads by a promise. */
  static async load(): Promise<Envelopes> {
    return new Envelopes(await import('jose'));
  }

  /** Makes a data key's bytes a key for {@link seal} and {@link open}. */
  importKey(bytes: Buffer): KeyObject {
    return createSecretKey(bytes);
  }

  seal(content: string, place: Place, keyId: string, key: KeyObject): string {
    const header = JSON.stringify({ alg: ALG, enc: ENC, kid: keyId, ctx: bindingOf(place) });
    const protectedHeader = Buffer.from(header).toString('base64url');
    const nonce = this.nextNonce();
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(Buffer.from(protectedHeader, 'ascii'));
    const ciphertext = cipher.update(content, 'utf8').toString('base64url');
    // GCM has nothing left to give out; this makes the tag.
    cipher.final();
    const tag = cipher.getAuthTag().toString('base64url');
    // The second segment is the encrypted key, of which `dir` has none.
    return `${protectedHeader}..${nonce.toString('base64url')}.${ciphertext}.${tag}`;
  }

  private nextNonce(): Buffer {
    if (this.noncesUsed === this.nonces.length) {
      randomFillSync(this.nonces);
      this.noncesUsed = 0;
    }
    const nonce = this.nonces.subarray(this.noncesUsed, this.noncesUsed + NONCE_BYTES);
    this.noncesUsed += NONCE_BYTES;
    return nonce;
  }

  /** The content; rejects with {@link TamperedError}. */
  async open(jwe: string, place: Place, key: KeyObject): Promise<string> {
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

  /** Whether a text says of itself to be the ciphertext of this very message. */
  isOf(place: Place, text: string): boolean {
    // What every protected header of ours begins with; nearly no text does.
    if (!text.startsWith(HEADER_START)) return false;
    try {
      return this.jose.decodeProtectedHeader(text)['ctx'] === bindingOf(place);
    } catch {
      // No JWE: a text like any other.
      return false;
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
