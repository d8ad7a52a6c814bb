/** A JWKS in a file: read at start, and again when it changed, so that keys can be added and revoked. */
import { readFile, stat } from 'node:fs/promises';
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { TokenKeys } from './token-keys';

/** The file is looked at no more often than this, ms. */
const LOOK_AGAIN_MS = 1_000;

/**
 * Rejects when the file is not there or holds no key set. Later, while it is broken or away, the keys
 * of before go on counting, and the log says so.
 */
export async function jwksFromFile(
  jose: typeof Jose,
  path: string,
  log: Logger,
): Promise<TokenKeys> {
  let { keys, modified } = await load(jose, path);
  let lookedAt = Date.now();
  let broken = false;
  let version = 0;
  const mustLook = (): boolean => Date.now() - lookedAt > LOOK_AGAIN_MS;

  async function lookAgain(): Promise<void> {
    lookedAt = Date.now();
    try {
      if ((await stat(path)).mtimeMs !== modified) {
        ({ keys, modified } = await load(jose, path));
        version += 1;
      }
      broken = false;
    } catch (error) {
      if (!broken) log.error({ path, err: messageOf(error) }, 'JWKS not read; the old one stays');
      broken = true;
    }
  }

  return {
    keys: async (header, token) => {
      if (mustLook()) await lookAgain();
      return keys(header, token);
    },
    version: () => (mustLook() ? undefined : version),
  };
}

async function load(
  jose: typeof Jose,
  path: string,
): Promise<{ keys: Jose.JWTVerifyGetKey; modified: number }> {
  const { mtimeMs } = await stat(path);
  const set = JSON.parse(await readFile(path, 'utf8')) as Jose.JSONWebKeySet;
  return { keys: jose.createLocalJWKSet(set), modified: mtimeMs };
}
