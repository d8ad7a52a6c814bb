/**
 * Who calls: bearer tokens, JWS with HS256 and a secret, or with public keys of a JWKS.
 *
 * The algorithms are fixed by which of the two is configured: a public key can never be taken for a
 * secret, and `none` is never on the list.
 */
// jose ships ES modules only, which CommonJS reaches by import() alone.
import type * as Jose from 'jose' with { 'resolution-mode': 'import' };
import { LRUCache } from 'lru-cache';
import { idProblem, MAX_USER_ID_BYTES } from '../../domain/ids';
import { ImError } from '../../domain/errors';
import { sha256 } from '../../domain/sha256';
import type { Logger } from '../../logger';
import { Problem } from './problem';
import { tokenKeys } from './token-keys';
import type { TokenKeys } from './token-keys';

export const SCOPES = ['im:compliance', 'im:operator'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Caller {
  readonly userId: string;
  readonly scopes: ReadonlySet<Scope>;
}

export interface TokenOptions {
  readonly secret: string;
  /** URL or file of a JWKS; given, the secret counts for nothing. */
  readonly jwks: string | undefined;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  /** How far the issuer's clock may be off, s. */
  readonly clockToleranceS: number;
  readonly log: Logger;
}

export const SECRET_ALGORITHMS = ['HS256'];
export const KEY_ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
/** Callers remembered, about 500 bytes each. */
const MAX_REMEMBERED = 20_000;

/** Who a token named when it was verified. */
interface Verified {
  readonly caller: Caller;
  /** When it expires, unix seconds. */
  readonly exp: number;
  /** Of the keys that it was verified with. */
  readonly version: number;
}

export class TokenVerifier {
  /** By the token's hash: what a dump of our memory shows opens nothing. */
  private readonly verified = new LRUCache<string, Verified>({ max: MAX_REMEMBERED });

  private constructor(
    private readonly jose: typeof Jose,
    private readonly keys: TokenKeys,
    private readonly options: TokenOptions,
  ) {}

  /** Rejects when the file of a JWKS cannot be read; a URL is asked when the first token comes. */
  static async create(options: TokenOptions): Promise<TokenVerifier> {
    const jose = await import('jose');
    return new TokenVerifier(jose, await tokenKeys(jose, options), options);
  }

  /**
   * The caller named by an Authorization header that was verified before, by the keys that count now,
   * and has not expired.
   */
  remembered(header: string | undefined): Caller | undefined {
    if (header === undefined) return undefined;
    const known = this.verified.get(nameOf(header));
    if (!known || known.version !== this.keys.version()) return undefined;
    return this.hasExpired(known) ? undefined : known.caller;
  }

  /**
   * The caller named by an Authorization header. Throws a {@link Problem} UNAUTHENTICATED, or
   * SERVICE_UNAVAILABLE when the issuer does not give its keys.
   */
  async verify(header: string | undefined): Promise<Caller> {
    const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(header ?? '')?.[1];
    if (header === undefined || !token) {
      throw unauthenticated(
        'a bearer token is needed',
        header === undefined ? '' : 'invalid_request',
      );
    }
    const version = this.keys.version();
    const { payload } = await this.check(token);
    // Signed or not, a claim can be anything.
    const { sub, scope } = payload as Record<string, unknown>;
    if (typeof sub !== 'string' || idProblem(sub, MAX_USER_ID_BYTES)) {
      throw unauthenticated('sub is not the id of a user', 'invalid_token');
    }
    const words = typeof scope === 'string' ? scope.split(' ') : [];
    const caller = { userId: sub, scopes: new Set(SCOPES.filter((each) => words.includes(each))) };
    // Keys that changed meanwhile may not be those that it was verified with.
    if (version !== undefined && version === this.keys.version()) {
      this.verified.set(nameOf(header), { caller, exp: payload.exp ?? 0, version });
    }
    return caller;
  }

  /** As jose sees it. */
  private hasExpired({ exp }: Verified): boolean {
    return exp <= Math.floor(Date.now() / 1_000) - this.options.clockToleranceS;
  }

  private async check(token: string): Promise<Jose.JWTVerifyResult> {
    const { jose, options } = this;
    const { keys } = this.keys;
    const rules = {
      algorithms: options.jwks ? KEY_ALGORITHMS : SECRET_ALGORITHMS,
      issuer: options.issuer,
      audience: options.audience,
      clockTolerance: options.clockToleranceS,
      requiredClaims: ['exp', 'sub'],
    };
    try {
      // Each overload takes one kind of key.
      return typeof keys === 'function'
        ? await jose.jwtVerify(token, keys, rules)
        : await jose.jwtVerify(token, keys, rules);
    } catch (error) {
      if (this.isIssuersFault(error)) {
        throw new ImError('SERVICE_UNAVAILABLE', 'the keys of the issuer cannot be had', {
          cause: error,
        });
      }
      throw unauthenticated(reasonOf(error), 'invalid_token');
    }
  }

  /** What jose throws when a key set does not come, is none, or the network fails. */
  private isIssuersFault(error: unknown): boolean {
    const { errors } = this.jose;
    if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return true;
    if (error instanceof errors.JOSEError) return error.code === 'ERR_JOSE_GENERIC';
    // jose refuses a key that does not suit the algorithm with a TypeError; fetch's has a cause.
    return !(error instanceof TypeError) || error.cause !== undefined;
  }
}

function nameOf(header: string): string {
  return sha256(header, 'base64');
}

/** Why a token is refused, in words that tell nothing about the token itself. */
function reasonOf(error: unknown): string {
  const { code, claim } = error as { code?: string; claim?: string };
  if (code === 'ERR_JWT_EXPIRED') return 'the token has expired';
  if (code === 'ERR_JWT_CLAIM_VALIDATION_FAILED') return `the claim ${claim} is missing or wrong`;
  return 'the token is not valid';
}

/** RFC 6750 §3: the challenge names an error only when there was a token. */
function unauthenticated(detail: string, error: string): Problem {
  const challenge = error
    ? `Bearer realm="im-service", error="${error}"`
    : 'Bearer realm="im-service"';
  return new Problem('UNAUTHENTICATED', detail, { 'www-authenticate': challenge });
}
