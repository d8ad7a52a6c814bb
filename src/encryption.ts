/** Builds what encrypts and decrypts stored content; the same in the server, the worker and the keys command. */
import { Envelopes } from './activities/encryption/envelope';
import { LocalKeys, MasterKeyError, NO_MASTER_KEYS } from './activities/encryption/local-keys';
import type { KeyProvider } from './activities/encryption/key-provider';
import { UserKeys } from './activities/encryption/user-keys';
import type { Queryable } from './activities/mysql/database';
import { UserKeyRows } from './activities/mysql/user-key-rows';
import type { Config } from './config';
import { NOBODY_ERASED } from './domain/erasure';
import type { ErasedView } from './domain/erasure';
import type { Logger } from './logger';
import type { Metrics } from './metrics';
import { ContentKeys } from './routing/content-keys';

const DAY_MS = 24 * 60 * 60 * 1000;

export interface Encryption {
  readonly provider: KeyProvider;
  readonly rows: UserKeyRows;
  readonly keys: UserKeys;
  readonly content: ContentKeys;
}

export interface EncryptionDeps {
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Of a process that serves; a command that ends at once does without. */
  readonly erased?: ErasedView;
}

/** Throws {@link MasterKeyError} when encryption is on and there is no master key. */
export function createEncryption(
  config: Config,
  database: Queryable,
  { metrics, log, erased = NOBODY_ERASED }: EncryptionDeps,
): Encryption {
  const local = LocalKeys.fromConfig(config);
  if (!local && config.ENCRYPTION === 'on') {
    throw new MasterKeyError('ENCRYPTION is on: set IM_MASTER_KEYS_FILE or IM_MASTER_KEYS');
  }
  const provider = local ?? NO_MASTER_KEYS;
  const envelopes = new Envelopes();
  const rows = new UserKeyRows(database);
  const keys = new UserKeys({
    rows,
    provider,
    importKey: (bytes) => envelopes.importKey(bytes),
    cacheMax: config.IM_KEY_CACHE_MAX,
    cacheTtlMs: config.IM_KEY_CACHE_TTL_S * 1000,
    maxAgeMs: config.IM_USER_KEY_DAYS * DAY_MS,
    now: Date.now,
    erased,
    metrics,
  });
  const budgetMs = config.IM_KEY_DEADLINE_MS;
  return {
    provider,
    rows,
    keys,
    content: new ContentKeys({ keys, envelopes, budgetMs, metrics, log }),
  };
}
