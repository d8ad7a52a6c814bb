/**
 * Which key a bundle is encrypted under. With encryption on, the user's data key: to destroy the user's
 * keys is to destroy the bundle. Off, where messages lie in clear beside it, a key of the bundle's own
 * that goes when the bundle goes, so that nothing of it can be read in old pages or backups of chunks.
 */
import { createSecretKey, randomBytes } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { KeyLostError } from '../activities/encryption/key-provider';
import type { UserKeys } from '../activities/encryption/user-keys';
import { BundleGoneError } from '../activities/mysql/export-bundles';
import type { BundleKey } from '../activities/mysql/export-bundles';
import type { UserKeyRows } from '../activities/mysql/user-key-rows';

const KEY_BYTES = 32;

export interface ExportKeysDeps {
  readonly keys: Pick<UserKeys, 'current' | 'find'>;
  readonly rows: Pick<UserKeyRows, 'byIds'>;
  /** Whether encryption is on. */
  readonly sealing: boolean;
}

export class ExportKeys {
  constructor(private readonly deps: ExportKeysDeps) {}

  /** The key for a new bundle of the user. Rejects with {@link BundleGoneError} when they are to have none. */
  async create(userId: string): Promise<BundleKey> {
    if (!this.deps.sealing) return { keyId: null, ownKey: randomBytes(KEY_BYTES) };
    try {
      return { keyId: (await this.deps.keys.current(userId)).keyId, ownKey: null };
    } catch (error) {
      if (!(error instanceof KeyLostError)) throw error;
      throw new BundleGoneError('the key of the user is gone');
    }
  }

  /** Rejects with {@link BundleGoneError} when the key was destroyed. */
  async of({ keyId, ownKey }: BundleKey): Promise<KeyObject> {
    if (ownKey) return createSecretKey(ownKey);
    // Asked of the database each time: memory would know a destroyed key for a while.
    const isThere = keyId !== null && (await this.deps.rows.byIds([keyId])).length > 0;
    const key = isThere ? (await this.deps.keys.find([keyId])).get(keyId) : undefined;
    if (!key) throw new BundleGoneError('the key of the bundle was destroyed');
    return key.key;
  }
}
