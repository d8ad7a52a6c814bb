/** Encryption for tests: real keys and envelopes, on the MySQL given. */
import { LocalKeys } from '../../src/activities/encryption/local-keys';
import type { Queryable } from '../../src/activities/mysql/database';
import { loadConfig } from '../../src/config';
import type { Config } from '../../src/config';
import type { ErasedView } from '../../src/domain/erasure';
import { createEncryption } from '../../src/encryption';
import type { Encryption } from '../../src/encryption';
import { createLogger } from '../../src/logger';
import { createMetrics } from '../../src/metrics';
import type { Metrics } from '../../src/metrics';

/** Master keys that all tests share, but those about master keys. */
export const TEST_MASTER_KEYS = `shared:${Buffer.alloc(32, 7).toString('base64')}`;

/** The environment of a service that encrypts under fresh master keys, the first being current; without ids, under the shared ones. */
export function encryptionOn(...ids: string[]): { ENCRYPTION: 'on'; IM_MASTER_KEYS: string } {
  const fresh = ids.map((id) => LocalKeys.generate(id)).join(',');
  return { ENCRYPTION: 'on', IM_MASTER_KEYS: fresh || TEST_MASTER_KEYS };
}

export interface TestEncryption extends Encryption {
  readonly metrics: Metrics;
}

/** Each call is a process of its own: nothing is shared but MySQL. */
export function openEncryption(
  database: Queryable,
  env: Partial<Record<keyof Config, string>>,
  erased?: ErasedView,
): Promise<TestEncryption> {
  const metrics = createMetrics();
  const config = loadConfig({ ...process.env, ...env });
  const log = createLogger('silent', 'test');
  return Promise.resolve({
    ...createEncryption(config, database, { metrics, log, ...(erased && { erased }) }),
    metrics,
  });
}

/** How often a message was reported as unreadable for this reason. */
export async function countUnreadable(metrics: Metrics, reason: string): Promise<number> {
  const { values } = await metrics.unreadable.get();
  return values.find((value) => value.labels.reason === reason)?.value ?? 0;
}
