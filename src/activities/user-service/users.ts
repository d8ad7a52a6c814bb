/** The user service: whether users exist, remembered for a while. */
import { Client, credentials } from '@grpc/grpc-js';
import { LRUCache } from 'lru-cache';
import { ImError, messageOf } from '../../domain/errors';
import type { Logger } from '../../logger';
import type { Metrics } from '../../metrics';
import { loadProto, serviceIn } from '../protos';

/** How long "there is no such user" is remembered, ms: short, they may be just signing up. */
const ABSENT_TTL_MS = 2_000;
/** UserErrorCode (contracts.md). */
const USER_NOT_FOUND = 1;
const INVALID_REQUEST = 3;
const NO_ERROR = 0;

export interface UsersOptions {
  readonly address: string;
  readonly deadlineMs: number;
  readonly cacheMax: number;
  readonly cacheTtlMs: number;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly now: () => number;
}

interface GetUserResponse {
  readonly error_code: number;
  readonly error_message: string;
}

export class Users {
  private readonly client: Client;
  private readonly service = serviceIn(loadProto('user/v1/user.proto'), 'user.v1.UserService');
  /** User id → until when the answer is fresh (unix ms), negative when there is no such user. */
  private readonly known: LRUCache<string, number>;
  private readonly asking = new Map<string, Promise<boolean>>();

  constructor(private readonly options: UsersOptions) {
    this.known = new LRUCache({ max: options.cacheMax });
    this.client = new Client(options.address, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 2_000,
      'grpc.enable_retries': 0,
    });
  }

  /** What is remembered of the user and still fresh, or `undefined`. */
  remembered(userId: string): boolean | undefined {
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

  close(): void {
    this.client.close();
  }

  private async ask(userId: string): Promise<boolean> {
    try {
      const response = await this.getUser(userId);
      const absent =
        response.error_code === USER_NOT_FOUND || response.error_code === INVALID_REQUEST;
      if (!absent && response.error_code !== NO_ERROR) {
        throw new Error(`GetUser answered ${response.error_code} ${response.error_message}`);
      }
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

  private getUser(userId: string): Promise<GetUserResponse> {
    const method = this.service['GetUser'];
    if (!method) throw new Error('the user proto has no GetUser');
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize as (value: object) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => GetUserResponse,
        { user_id: userId },
        { deadline: this.options.now() + this.options.deadlineMs },
        (error, response) => {
          if (error) reject(error);
          else resolve(response as GetUserResponse);
        },
      );
    });
  }
}
