/**
 * The chunks of an export's bundle: compressed (gzip), then encrypted and authenticated (A256GCM): 12
 * bytes of nonce, the ciphertext, 16 bytes of tag. Nonces are random, so that one key may seal 2^32.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { TamperedError } from './envelope';

const ALGORITHM = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** Of 1 to 9: beyond it gzip takes twice the time for a few percent. */
const LEVEL = 4;

const compress = promisify(gzip);
const inflate = promisify(gunzip);

/** Where a chunk belongs; it opens in no other place. */
export interface ChunkPlace {
  readonly bundleId: string;
  readonly userId: string;
  readonly chunk: number;
  readonly section: string;
}

export async function sealChunk(text: Buffer, place: ChunkPlace, key: KeyObject): Promise<Buffer> {
  const compressed = await compress(text, { level: LEVEL });
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, key, nonce);
  cipher.setAAD(bindingOf(place));
  const ciphertext = cipher.update(compressed);
  cipher.final();
  return Buffer.concat([nonce, ciphertext, cipher.getAuthTag()]);
}

/** Rejects with {@link TamperedError}. `maxBytes`: of what comes out, more is taken for tampering. */
export async function openChunk(
  sealed: Buffer,
  place: ChunkPlace,
  key: KeyObject,
  maxBytes: number,
): Promise<Buffer> {
  try {
    const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(0, NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(bindingOf(place));
    decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
    const compressed = decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES));
    decipher.final();
    return await inflate(compressed, { maxOutputLength: maxBytes });
  } catch (cause) {
    throw new TamperedError('does not decrypt', { cause });
  }
}

function bindingOf({ bundleId, userId, chunk, section }: ChunkPlace): Buffer {
  return Buffer.from(JSON.stringify(['im-export', bundleId, userId, chunk, section]));
}
