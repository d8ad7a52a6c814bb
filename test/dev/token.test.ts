/** `npm run token`: tokens for development, and only for that. */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { TokenVerifier } from '../../src/api/rest/token-verifier';
import { DEVELOPMENT_JWT_SECRET } from '../../src/config-schema';
import { projectRoot } from '../../src/paths';
import { log } from '../support/kafka';

function token(args: readonly string[], env: Record<string, string> = {}) {
  const program = join(projectRoot(), 'dist', 'dev', 'token', 'main.js');
  const { PATH = '' } = process.env;
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    env: { PATH, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

async function callerOf(text: string, options: { issuer?: string; audience?: string } = {}) {
  const verifier = await TokenVerifier.create({
    secret: DEVELOPMENT_JWT_SECRET,
    jwks: undefined,
    issuer: options.issuer,
    audience: options.audience,
    clockToleranceS: 0,
    log,
  });
  return verifier.verify(`Bearer ${text}`);
}

describe('the token command', () => {
  test('prints a token that lets its user in, with the scopes asked for', async () => {
    const plain = token(['alice']);
    expect(plain).toMatchObject({ status: 0, stderr: '' });
    expect(await callerOf(plain.stdout.trim())).toEqual({ userId: 'alice', scopes: new Set() });
    const both = token(['bob', '--scope', 'im:compliance', '--scope', 'im:operator']);
    const { scopes } = await callerOf(both.stdout.trim());
    expect([...scopes]).toEqual(['im:compliance', 'im:operator']);
  });

  test('names the issuer and the audience that the service asks for', async () => {
    const made = token(['alice'], { IM_JWT_ISSUER: 'https://issuer', IM_JWT_AUDIENCE: 'im' });
    const strict = { issuer: 'https://issuer', audience: 'im' };
    expect((await callerOf(made.stdout.trim(), strict)).userId).toBe('alice');
  });

  test.each([
    ['in production mode', ['alice'], { NODE_ENV: 'production', JWT_SECRET: 'x'.repeat(40) }],
    ['where an issuer makes the tokens', ['alice'], { IM_JWT_JWKS: 'http://issuer/keys' }],
    ['for a scope that there is not', ['alice', '--scope', 'im:everything'], {}],
    ['for an id that is none', ['a/b'], {}],
    ['for nobody', [], {}],
  ])('prints nothing %s', (_name, args, env) => {
    const refused = token(args, env);
    expect(refused).toMatchObject({ status: 1, stdout: '' });
    expect(refused.stderr).not.toContain('    at ');
    expect(refused.stderr.length).toBeGreaterThan(10);
  });
});
