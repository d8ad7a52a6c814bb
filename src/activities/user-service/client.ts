/** The channel to the user service: unary calls, each with a deadline. */
import { Client, credentials } from '@grpc/grpc-js';
import { loadProto, serviceIn } from '../protos';

/** UserErrorCode (contracts.md): errors come in-band. */
export const USER_ERROR = {
  none: 0,
  userNotFound: 1,
  groupNotFound: 2,
  invalidRequest: 3,
} as const;

/** What every response of the user service has. */
export interface UserServiceResponse {
  readonly error_code: number;
  readonly error_message: string;
}

export class UserServiceClient {
  private readonly client: Client;
  private readonly service = serviceIn(loadProto('user/v1/user.proto'), 'user.v1.UserService');

  /** `deadlineMs`: for one call. */
  constructor(private readonly options: { readonly address: string; readonly deadlineMs: number }) {
    this.client = new Client(options.address, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 2_000,
      'grpc.enable_retries': 0,
    });
  }

  /** One call; rejects when no response comes within the deadline. An in-band error is a response. */
  call<Response extends UserServiceResponse>(name: string, request: object): Promise<Response> {
    const method = this.service[name];
    if (!method) throw new Error(`the user proto has no ${name}`);
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        method.path,
        method.requestSerialize as (value: object) => Buffer,
        method.responseDeserialize as (bytes: Buffer) => Response,
        request,
        { deadline: Date.now() + this.options.deadlineMs },
        (error, response) => {
          if (error) reject(error);
          else resolve(response as Response);
        },
      );
    });
  }

  close(): void {
    this.client.close();
  }
}

/** Throws unless the response is free of errors. */
export function requireNoError(name: string, response: UserServiceResponse): void {
  if (response.error_code === USER_ERROR.none) return;
  throw new Error(`${name} answered ${response.error_code} ${response.error_message}`);
}
