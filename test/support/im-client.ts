/** A client of the spec's gRPC service, as a gateway would write one. */
import { Metadata } from '@grpc/grpc-js';
import type { Client, ServiceError } from '@grpc/grpc-js';
import { connect, loadService } from '../../dev/common/grpc';

export interface RouteResponse {
  success: boolean;
  status: string;
  sequence_number: number;
  error_message: string;
  member_count?: number;
  /** The trailing metadata key `im-error-code`. */
  code: string | undefined;
}

export interface StatusResponse {
  status: string;
  delivered_at: number;
  read_at: number;
  delivered_devices: string[];
}

export interface PrivateRequest {
  msg_id?: string;
  sender_id?: string;
  recipient_id?: string;
  content?: string;
  timestamp?: number | string;
  metadata?: Record<string, string>;
}

export type GroupRequest = Omit<PrivateRequest, 'recipient_id'> & { group_id?: string };

type Unary = (
  request: object,
  metadata: Metadata,
  options: object,
  callback: (error: ServiceError | null, response: object) => void,
) => { on(event: 'status', listener: (status: { metadata: Metadata }) => void): void };

export class ImClient {
  private readonly client: Client;

  constructor(port: number) {
    this.client = connect(loadService('api/v1/im.proto', 'im.v1.IMService'), `127.0.0.1:${port}`);
  }

  routePrivate(request: PrivateRequest, deadlineMs = 30_000): Promise<RouteResponse> {
    return this.call('RoutePrivateMessage', request, deadlineMs) as Promise<RouteResponse>;
  }

  routeGroup(request: GroupRequest, deadlineMs = 30_000): Promise<RouteResponse> {
    return this.call('RouteGroupMessage', request, deadlineMs) as Promise<RouteResponse>;
  }

  status(msgId: string, deadlineMs = 5_000): Promise<StatusResponse> {
    return this.call('GetMessageStatus', { msg_id: msgId }, deadlineMs) as Promise<StatusResponse>;
  }

  close(): void {
    this.client.close();
  }

  private call(method: string, request: object, deadlineMs: number): Promise<object> {
    return new Promise((resolve, reject) => {
      const unary = (this.client as unknown as Record<string, Unary>)[method] as Unary;
      let response: object = {};
      const call = unary.call(
        this.client,
        request,
        new Metadata(),
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          if (error) reject(error);
          else response = answer;
        },
      );
      // The status comes last and brings the trailer.
      call.on('status', ({ metadata }) =>
        resolve({ ...response, code: metadata.get('im-error-code')[0]?.toString() }),
      );
    });
  }
}
