/** The keys that tokens are verified with: a secret, or the public keys of a JWKS in a file or at a URL. */
import { createSecretKey } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
// jose ships ES modules only, which CommonJS reaches by import() alone.
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };
import type { Logger } from '../../logger';
import { jwksFromFile } from './jwks-file';
import { jwksFromUrl } from './jwks-url';

export interface TokenKeys {
  /** What jose verifies with. */
  readonly keys: KeyObject | Jose.JWTVerifyGetKey;
  /**
   * Changes when the keys may have. `undefined` when they must be looked at before anything that was
   * verified with them is believed again.
   */
  version(): number | undefined;
}

export interface TokenKeyOptions {
  readonly jwks: string | undefined;
  readonly secret: string;
  readonly log: Logger;
}

/** Rejects when the file of a JWKS cannot be read; a URL is asked when the first token comes. */
export async function tokenKeys(
  jose: typeof Jose,
  { jwks, secret, log }: TokenKeyOptions,
): Promise<TokenKeys> {
  // Once: of plain bytes jose would make a key for each token.
  if (!jwks) return { keys: createSecretKey(Buffer.from(secret)), version: () => 0 };
  if (!/^https?:/.test(jwks)) return jwksFromFile(jose, jwks, log);
  return jwksFromUrl(jose, new URL(jwks), log);
}
