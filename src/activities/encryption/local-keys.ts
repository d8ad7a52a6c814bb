/**
 * Master keys given as text, `ID:KEY` each, the first being the current one. They wrap by AES-256-GCM
 * (NIST SP 800-38D): 12 bytes of nonce, the ciphertext, 16 bytes of tag. Nonces are random, so that one
 * master key may wrap 2^32 keys.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../../config';
import { KeyLostError } from './key-provider';
import type { KeyProvider, WrappedKey } from './key-provider';

const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ENTRY = /^([A-Za-z0-9][A-Za-z0-9._-]{0,127}):([A-Za-z0-9+/_-]{43}=?)$/;

/** Master keys are missing or malformed; the message never shows one. */
export class MasterKeyError extends Error {
  override readonly name = 'MasterKeyError';
}

export class LocalKeys implements KeyProvider {
  private constructor(
    readonly currentKeyId: string,
    private readonly keys: ReadonlyMap<string, Buffer>,
  ) {}

  /** From `ID:KEY` entries, with commas or line breaks between; throws {@link MasterKeyError}. */
  static parse(text: string): LocalKeys {
    const keys = new Map<string, Buffer>();
    const entries = text.split(/[\s,]+/).filter(Boolean);
    for (const [i, entry] of entries.entries()) {
      const [, id, key] = ENTRY.exec(entry) ?? [];
      if (id === undefined || key === undefined) {
        throw new MasterKeyError(`master key ${i + 1} is not ID:KEY with 32 bytes in base64`);
      }
      if (keys.has(id)) throw new MasterKeyError(`there are two master keys "${id}"`);
      keys.set(id, Buffer.from(key, 'base64'));
    }
    const [current] = keys.keys();
    if (current === undefined) throw new MasterKeyError('there is no master key');
    return new LocalKeys(current, keys);
  }

  /** From IM_MASTER_KEYS_FILE or IM_MASTER_KEYS; `undefined` when neither is set. */
  static fromConfig(
    config: Pick<Config, 'IM_MASTER_KEYS' | 'IM_MASTER_KEYS_FILE'>,
  ): LocalKeys | undefined {
    const { IM_MASTER_KEYS: given, IM_MASTER_KEYS_FILE: file } = config;
    const text = file === undefined ? given : readFileSync(file, 'utf8');
    return text === undefined ? undefined : LocalKeys.parse(text);
  }

  /** A new entry, `ID:KEY`. */
  static generate(id: string): string {
    const entry = `${id}:${randomBytes(KEY_BYTES).toString('base64')}`;
    if (!ENTRY.test(entry)) {
      throw new MasterKeyError('an id has 1 to 128 of A-Z, a-z, 0-9, ".", "_" and "-"');
    }
    return entry;
  }

  /** The ids, the current one first. */
  get ids(): string[] {
    return [...this.keys.keys()];
  }

  wrap(dataKey: Buffer, context: string): Promise<WrappedKey> {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(ALGORITHM, this.key(this.currentKeyId), nonce);
    cipher.setAAD(Buffer.from(context));
    const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final()]);
    return Promise.resolve({
      masterKeyId: this.currentKeyId,
      wrapped: Buffer.concat([wrapped, cipher.getAuthTag()]),
    });
  }

  unwrap({ masterKeyId, wrapped }: WrappedKey, context: string): Promise<Buffer> {
    try {
      const decipher = createDecipheriv(
        ALGORITHM,
        this.key(masterKeyId),
        wrapped.subarray(0, NONCE_BYTES),
        { authTagLength: TAG_BYTES },
      );
      decipher.setAAD(Buffer.from(context));
      decipher.setAuthTag(wrapped.subarray(-TAG_BYTES));
      const ciphertext = wrapped.subarray(NONCE_BYTES, -TAG_BYTES);
      return Promise.resolve(Buffer.concat([decipher.update(ciphertext), decipher.final()]));
    } catch (cause) {
      const lost = new KeyLostError(`a key wrapped by "${masterKeyId}" does not unwrap`, { cause });
      return Promise.reject(lost);
    }
  }

  private key(id: string): Buffer {
    const key = this.keys.get(id);
    if (!key) throw new KeyLostError(`there is no master key "${id}"`);
    return key;
  }
}

/** For a service that has never encrypted: nothing wraps, and nothing unwraps. */
export const NO_MASTER_KEYS: KeyProvider = {
  currentKeyId: '',
  wrap: () => Promise.reject(new KeyLostError('there is no master key')),
  unwrap: () => Promise.reject(new KeyLostError('there is no master key')),
};
