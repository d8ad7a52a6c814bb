/**
 * Rate limits of the REST API: for each address before anything is looked at, for each user after.
 * Without Redis requests are let through and counted: a limit is no reason to be down.
 */
import type { Context } from 'koa';
import { WINDOW_MS } from '../../activities/redis/rate-limiter';
import type { Allowance, RateLimiter, Take } from '../../activities/redis/rate-limiter';
import { messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { Problem } from './problem';

export interface RateLimitOptions {
  readonly limiter: RateLimiter;
  /** Requests a minute; 0: unlimited. */
  readonly perUser: number;
  readonly perAddress: number;
  readonly metrics: Metrics;
  readonly log: Logger;
}

export class RateLimits {
  constructor(private readonly options: RateLimitOptions) {}

  /** Throws RATE_LIMITED when the address of the request has used up its allowance. */
  async takeForAddress(ctx: Context): Promise<void> {
    await this.take(ctx, [this.ofAddress(ctx)]);
  }

  /** Throws RATE_LIMITED when the user has used up theirs. */
  async takeForUser(ctx: Context, userId: string): Promise<void> {
    await this.take(ctx, [this.ofUser(userId)]);
  }

  /** Both, one after the other, in one step. */
  async takeForBoth(ctx: Context, userId: string): Promise<void> {
    await this.take(ctx, [this.ofAddress(ctx), this.ofUser(userId)]);
  }

  private ofAddress(ctx: Context): Take {
    return { kind: 'address', caller: networkOf(ctx.ip), limit: this.options.perAddress };
  }

  private ofUser(userId: string): Take {
    return { kind: 'user', caller: userId, limit: this.options.perUser };
  }

  private async take(ctx: Context, all: readonly Take[]): Promise<void> {
    const { limiter, metrics, log } = this.options;
    const takes = all.filter(({ limit }) => limit > 0);
    if (takes.length === 0) return;
    let allowances: readonly (Allowance | undefined)[];
    try {
      allowances = await limiter.take(takes);
    } catch (error) {
      metrics.rateLimitSkipped.inc();
      log.debug({ err: messageOf(error) }, 'rate limit not checked');
      return;
    }
    takes.forEach((take, i) => this.hold(ctx, take, allowances[i]));
  }

  private hold(ctx: Context, { kind, limit }: Take, allowance: Allowance | undefined): void {
    const { metrics } = this.options;
    if (!allowance) return metrics.rateLimitSkipped.inc();
    if (kind === 'user' || !allowance.allowed) describe(ctx, kind, allowance);
    if (allowance.allowed) return;
    metrics.rateLimited.inc({ kind });
    throw new Problem('RATE_LIMITED', `more than ${limit} requests a minute from one ${kind}`, {
      'retry-after': seconds(allowance.retryMs),
    });
  }
}

/** draft-ietf-httpapi-ratelimit-headers: the policy, and what is left of it. */
function describe(ctx: Context, kind: string, { limit, remaining, resetMs }: Allowance): void {
  ctx.set('RateLimit-Policy', `"${kind}";q=${limit};w=${WINDOW_MS / 1000}`);
  ctx.set('RateLimit', `"${kind}";r=${remaining};t=${seconds(resetMs)}`);
}

function seconds(ms: number): string {
  return String(Math.ceil(ms / 1000));
}

/** One household of IPv6 has 2^64 addresses: its network counts as one. */
function networkOf(ip: string): string {
  const plain = ip.replace(/^::ffff:(?=\d+\.)/i, '');
  if (!plain.includes(':')) return plain;
  const [head = '', tail] = plain.split('::');
  const before = head === '' ? [] : head.split(':');
  const after = tail ? tail.split(':') : [];
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - before.length - after.length);
  const groups = [...before, ...new Array<string>(zeros).fill('0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
