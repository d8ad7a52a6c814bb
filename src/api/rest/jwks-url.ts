/**
 * A JWKS at a URL: fetched when the first token comes, and again when it is old or a key id is not known.
 * While the issuer is away the keys we have go on counting, for a while.
 */
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { TokenKeys } from './token-keys';

/** How long an issuer may take to give its keys, ms. */
const DEADLINE_MS = 3_000;
/** How long keys are used before they are fetched again, ms: a key that was taken away counts no longer. */
const MAX_AGE_MS = 10 * 60_000;
/** How long keys count that cannot be fetched again, ms. */
const MAX_STALE_MS = 60 * 60_000;
/** An issuer that failed is asked no more often than this, ms. */
const RETRY_MS = 10_000;
/** An unknown key id fetches no more often than this, ms: made-up ones must not flood the issuer. */
const COOLDOWN_MS = 10_000;

export function jwksFromUrl(jose: typeof Jose, url: URL, log: Logger): TokenKeys {
  // jose notes here when it fetched, whoever had it do so.
  const fetched: { uat?: number } = {};
  const remote = jose.createRemoteJWKSet(url, {
    timeoutDuration: DEADLINE_MS,
    cooldownDuration: COOLDOWN_MS,
    // When they are too old is decided here.
    cacheMaxAge: Infinity,
    [jose.jwksCache]: fetched as Jose.JWKSCacheInput,
  });
  let askedAt = 0;

  async function fetchAgain(now: number): Promise<void> {
    askedAt = now;
    await remote.reload();
  }

  const age = (now: number): number => now - (fetched.uat ?? 0);
  const isStale = (now: number): boolean => age(now) > MAX_STALE_MS;
  const isDue = (now: number): boolean => age(now) > MAX_AGE_MS && now - askedAt > RETRY_MS;

  return {
    keys: async (header, token) => {
      const now = Date.now();
      if (isStale(now)) await fetchAgain(now);
      else if (isDue(now)) {
        try {
          await fetchAgain(now);
        } catch (error) {
          log.error({ err: messageOf(error) }, 'JWKS not fetched; the old one stays');
        }
      }
      return remote(header, token);
    },
    version: () => (isStale(Date.now()) || isDue(Date.now()) ? undefined : fetched.uat),
  };
}
