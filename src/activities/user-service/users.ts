/** The user service: whether users exist, remembered for a while. */
import { LRUCache } from 'lru-cache';
import { ImError, messageOf } from '../../domain/errors';
import type { ErasedView } from '../../domain/erasure';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { requireNoError, USER_ERROR } from './client';
import type { UserServiceClient, UserServiceResponse } from './client';

/** How long "there is no such user" is remembered, ms: short, they may be just signing up. */
const ABSENT_TTL_MS = 2_000;

export interface UsersOptions {
  readonly client: UserServiceClient;
  readonly cacheMax: number;
  readonly cacheTtlMs: number;
  /** They do not exist, whatever the user service says. */
  readonly erased: Pick<ErasedView, 'has'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}

export class Users {
  /** User id → until when the answer is fresh (unix ms), negative when there is no such user. */
  private readonly known: LRUCache<string, number>;
  private readonly asking = new Map<string, Promise<boolean>>();

  constructor(private readonly options: UsersOptions) {
    this.known = new LRUCache({ max: options.cacheMax });
  }

  /** What is remembered of the user and still fresh, or `undefined`. */
  remembered(userId: string): boolean | undefined {
    if (this.options.erased.has(userId)) return false;
    const until = this.known.get(userId);
    if (until === undefined || Math.abs(until) < this.options.now()) return undefined;
    return until > 0;
  }

  /**
   * Whether the user exists. While the user service is away, a user known from before still does;
   * of others nothing is known: rejects with SERVICE_UNAVAILABLE.
   */
  async exists(userId: string): Promise<boolean> {
    const remembered = this.remembered(userId);
    if (remembered !== undefined) return remembered;
    let asked = this.asking.get(userId);
    if (!asked) {
      asked = this.ask(userId).finally(() => this.asking.delete(userId));
      this.asking.set(userId, asked);
    }
    return asked;
  }

  /** Rejects when the user service does not answer. */
  async ping(): Promise<void> {
    await this.getUser('im-service-readiness');
  }

  private async ask(userId: string): Promise<boolean> {
    try {
      const response = await this.getUser(userId);
      const absent =
        response.error_code === USER_ERROR.userNotFound ||
        response.error_code === USER_ERROR.invalidRequest;
      if (!absent) requireNoError('GetUser', response);
      const now = this.options.now();
      this.known.set(userId, absent ? -(now + ABSENT_TTL_MS) : now + this.options.cacheTtlMs);
      return !absent;
    } catch (error) {
      this.options.log.debug({ err: messageOf(error) }, 'user service failed');
      if ((this.known.get(userId) ?? 0) > 0) {
        this.options.metrics.userServiceStale.inc();
        return true;
      }
      throw new ImError('SERVICE_UNAVAILABLE', 'the user service is unavailable', { cause: error });
    }
  }

  private getUser(userId: string): Promise<UserServiceResponse> {
    return this.options.client.call('GetUser', { user_id: userId });
  }
}
