/** A JWKS in a file: read at start, and again when it changed, so that keys can be added and revoked. */
import { readFile, stat } from 'node:fs/promises';
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };

/** The file is looked at no more often than this, ms. */
const LOOK_AGAIN_MS = 1_000;

/** Rejects when the file is not there or holds no key set. */
export async function jwksFromFile(jose: typeof Jose, path: string): Promise<Jose.JWTVerifyGetKey> {
  let { keys, modified } = await load(jose, path);
  let lookedAt = Date.now();
  return async (header, token) => {
    if (Date.now() - lookedAt > LOOK_AGAIN_MS) {
      // Set first: while a broken file is mended, the keys we have go on counting.
      lookedAt = Date.now();
      if ((await stat(path)).mtimeMs !== modified) ({ keys, modified } = await load(jose, path));
    }
    return keys(header, token);
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
