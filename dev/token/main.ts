/**
 * `npm run --silent token -- USER [--scope S]...`: prints a bearer token for development, signed with
 * JWT_SECRET and good for a day. Refuses in production mode, and where tokens come from an issuer.
 */
import { parseArgs } from 'node:util';
import { SCOPES } from '../../src/api/rest/token-verifier';
import { ConfigError, loadConfig } from '../../src/config';
import type { Config } from '../../src/config';
import { idProblem, MAX_USER_ID_BYTES } from '../../src/domain/ids';

const LIFETIME = '24h';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { scope: { type: 'string', multiple: true, default: [] } },
  });
  const [user = ''] = positionals;
  const scopes = values.scope.flatMap((scope) => scope.split(' ')).filter(Boolean);
  const unknown = scopes.find((scope) => !SCOPES.some((known) => known === scope));
  if (positionals.length !== 1 || idProblem(user, MAX_USER_ID_BYTES)) {
    throw new ConfigError('usage: npm run --silent token -- USER [--scope im:compliance]');
  }
  if (unknown) throw new ConfigError(`no scope "${unknown}"; there are ${SCOPES.join(' and ')}`);
  console.log(await sign(developmentConfig(), user, scopes));
}

function developmentConfig(): Config {
  if (process.env['NODE_ENV'] === 'production') {
    throw new ConfigError('development tokens are not made in production mode (NODE_ENV)');
  }
  const config = loadConfig(process.env);
  if (config.IM_JWT_JWKS) throw new ConfigError('tokens come from the issuer of IM_JWT_JWKS');
  return config;
}

async function sign(config: Config, user: string, scopes: readonly string[]): Promise<string> {
  const { SignJWT } = await import('jose');
  const token = new SignJWT(scopes.length > 0 ? { scope: scopes.join(' ') } : {})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(LIFETIME);
  if (config.IM_JWT_ISSUER) token.setIssuer(config.IM_JWT_ISSUER);
  if (config.IM_JWT_AUDIENCE) token.setAudience(config.IM_JWT_AUDIENCE);
  return token.sign(new TextEncoder().encode(config.JWT_SECRET));
}

main().catch((error: unknown) => {
  console.error(error instanceof ConfigError ? error.message : error);
  process.exit(1);
});
