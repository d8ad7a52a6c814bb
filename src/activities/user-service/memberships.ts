/** Who is a member of which group, asked of the user service and remembered for a moment. */
import { Client, credentials } from '@grpc/grpc-js';
import { LRUCache } from 'lru-cache';
import { ImError } from '../../domain/errors';
import { loadProto, serviceIn } from '../protos';

/** How long an answer counts, ms: someone who was removed reads no longer than this. */
const TTL_MS = 5_000;
/** Pairs of user and group remembered. */
const CACHE_MAX = 50_000;
/** UserErrorCode (contracts.md): no such user, no such group, invalid request. */
const NOT_A_MEMBER = [1, 2, 3];
const NO_ERROR = 0;

interface Answer {
  readonly is_member: boolean;
  readonly error_code: number;
}

export class Memberships {
  private readonly client: Client;
  private readonly service = serviceIn(loadProto('user/v1/user.proto'), 'user.v1.UserService');
  private readonly known = new LRUCache<string, boolean>({ max: CACHE_MAX, ttl: TTL_MS });

  constructor(private readonly options: { address: string; deadlineMs: number }) {
    this.client = new Client(options.address, credentials.createInsecure(), {
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 2_000,
    });
  }

  /** Whether the user is a member now; rejects with SERVICE_UNAVAILABLE when nobody can say. */
  async isMember(userId: string, groupId: string): Promise<boolean> {
    const name = `${userId}/${groupId}`;
    const known = this.known.get(name);
    if (known !== undefined) return known;
    const { is_member, error_code } = await this.ask(userId, groupId);
    if (error_code !== NO_ERROR && !NOT_A_MEMBER.includes(error_code)) {
      throw new ImError('SERVICE_UNAVAILABLE', `the user service answered ${error_code}`);
    }
    const member = is_member && error_code === NO_ERROR;
    this.known.set(name, member);
    return member;
  }

  close(): void {
    this.client.close();
  }

  private ask(userId: string, groupId: string): Promise<Answer> {
    const method = this.service['ValidateGroupMembership'];
    if (!method) throw new Error('the user proto has no ValidateGroupMembership');
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize as (value: object) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => Answer,
        { user_id: userId, group_id: groupId },
        { deadline: Date.now() + this.options.deadlineMs },
        (error, response) => {
          if (!error && response) resolve(response);
          else {
            reject(
              new ImError('SERVICE_UNAVAILABLE', 'the user service is unavailable', {
                cause: error,
              }),
            );
          }
        },
      );
    });
  }
}
