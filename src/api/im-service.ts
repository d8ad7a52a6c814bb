/** The spec's gRPC service: requests in, the routers' answers out. */
import { Metadata, status } from '@grpc/grpc-js';
import type {
  sendUnaryData,
  ServerUnaryCall,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { asImError, messageOf } from '../domain/errors';
import { idProblem, MAX_MESSAGE_ID_BYTES } from '../domain/ids';
import type { MessageStatus } from '../domain/message';
import type { Metrics } from '../metrics';
import type { Answer, GroupRequest, PrivateRequest, RouteCalls } from './route-calls';
import { hasInvalidUtf8, mayBeInvalid } from './utf8';

/** Trailing metadata that carries the code of `error_message` alone (architecture §3). */
export const ERROR_CODE_KEY = 'im-error-code';

export interface ImServiceDeps {
  readonly calls: RouteCalls;
  /** The status of a message, `undefined` for an id never seen. Throws RETRIEVAL_ERROR. */
  readonly messageStatus: (msgId: string) => Promise<MessageStatus | undefined>;
  readonly metrics: Metrics;
}

/** The handlers of `im.v1.IMService`. */
export function createImService(deps: ImServiceDeps): UntypedServiceImplementation {
  const { calls } = deps;

  async function answer<Request>(
    route: (request: Request) => Promise<Answer>,
    { request }: ServerUnaryCall<Request, object>,
    callback: sendUnaryData<object>,
  ): Promise<void> {
    if (calls.isFull) {
      deps.metrics.refusedOverCapacity.inc();
      const details = `${calls.maxInFlight} calls are in flight`;
      callback({ code: status.RESOURCE_EXHAUSTED, details });
      return;
    }
    const answer = await route(request);
    callback(null, responseOf(answer), trailerOf(answer.code));
  }

  return {
    RoutePrivateMessage: (
      call: ServerUnaryCall<PrivateRequest, object>,
      callback: sendUnaryData<object>,
    ) => void answer((request) => calls.private('unary', request), call, callback),
    RouteGroupMessage: (
      call: ServerUnaryCall<GroupRequest, object>,
      callback: sendUnaryData<object>,
    ) => void answer((request) => calls.group('unary', request), call, callback),
    GetMessageStatus: (
      call: ServerUnaryCall<{ msg_id: string }, object>,
      callback: sendUnaryData<object>,
    ) => void answerStatus(deps, call.request.msg_id, callback),
  };
}

/** The service's definition with decoders that notice invalid UTF-8. */
export function withUtf8Check(definition: ServiceDefinition): ServiceDefinition {
  return Object.fromEntries(
    Object.entries(definition).map(([name, method]) => {
      const decode = method.requestDeserialize;
      const requestDeserialize = (bytes: Buffer): object => {
        const request = decode(bytes) as object;
        if (!mayBeInvalid(request) || !hasInvalidUtf8(bytes)) return request;
        return { ...request, invalidUtf8: true };
      };
      return [name, { ...method, requestDeserialize }];
    }),
  );
}

async function answerStatus(
  deps: ImServiceDeps,
  msgId: string,
  callback: sendUnaryData<object>,
): Promise<void> {
  const problem = idProblem(msgId, MAX_MESSAGE_ID_BYTES);
  if (problem) {
    callback({ code: status.INVALID_ARGUMENT, details: `msg_id ${problem}` });
    return;
  }
  try {
    const found = await deps.messageStatus(msgId);
    if (!found) {
      callback({ code: status.NOT_FOUND, details: 'no message has this msg_id' });
      return;
    }
    callback(null, {
      status: found.status,
      delivered_at: found.deliveredAt,
      read_at: found.readAt,
      delivered_devices: found.deliveredDevices,
    });
  } catch (error) {
    const known = asImError(error, 'RETRIEVAL_ERROR', messageOf(error));
    callback({ code: status.UNAVAILABLE, details: known.message, metadata: trailerOf(known.code) });
  }
}

function responseOf(answer: Answer): object {
  return {
    success: answer.success,
    status: answer.status,
    sequence_number: answer.sequenceNumber,
    member_count: answer.memberCount,
    error_message: answer.errorMessage,
  };
}

function trailerOf(code: string | undefined): Metadata | undefined {
  if (!code) return undefined;
  const trailer = new Metadata();
  trailer.set(ERROR_CODE_KEY, code);
  return trailer;
}
