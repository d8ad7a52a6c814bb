/** A client of the streaming service, as a gateway would write one. */
import type { Client, ClientDuplexStream, StatusObject } from '@grpc/grpc-js';
import { connect, loadService } from '../../dev/common/grpc';
import type { GroupRequest, PrivateRequest, RouteResponse } from './im-client';
import { unique } from './ids';
import type { TestSystem } from './system';
import { waitFor } from './wait';

export interface StreamRequest {
  private_message?: PrivateRequest;
  group_message?: GroupRequest;
}

export interface StreamAnswer {
  request_number: number;
  msg_id: string;
  private_message: Omit<RouteResponse, 'code'> | null;
  group_message: Omit<RouteResponse, 'code'> | null;
  error_code: string;
}

type Call = ClientDuplexStream<{ requests: StreamRequest[] }, { responses: StreamAnswer[] }>;

export class StreamClient {
  private readonly client: Client;

  constructor(port: number) {
    const service = loadService('api/v1/im_stream.proto', 'im.v1.IMStreamService');
    this.client = connect(service, `127.0.0.1:${port}`);
  }

  open(options: { deadline?: number } = {}): TestStream {
    const { client } = this;
    const route = (client as unknown as Record<'Route', (options: object) => Call>).Route;
    return new TestStream(route.call(client, options));
  }

  close(): void {
    this.client.close();
  }
}

export class TestStream {
  readonly answers: StreamAnswer[] = [];
  /** With which the stream ended. */
  status: StatusObject | undefined;

  constructor(readonly call: Call) {
    call.on('data', ({ responses }: { responses: StreamAnswer[] }) => {
      this.answers.push(...responses);
    });
    call.on('status', (status) => (this.status = status));
    // What went wrong is in the status.
    call.on('error', () => undefined);
  }

  /** Writes messages in batches; false when the stream holds the writer up. */
  write(requests: readonly StreamRequest[], batch = requests.length): boolean {
    let room = true;
    for (let at = 0; at < requests.length; at += batch) {
      room = this.call.write({ requests: requests.slice(at, at + batch) });
    }
    return room;
  }

  async answered(count: number, timeoutMs = 20_000): Promise<readonly StreamAnswer[]> {
    await waitFor(`${count} answers`, timeoutMs, () => {
      return Promise.resolve(this.answers.length >= count);
    });
    return this.answers;
  }

  async ended(timeoutMs = 20_000): Promise<StatusObject> {
    await waitFor('the stream to end', timeoutMs, () => Promise.resolve(this.status !== undefined));
    return this.status as StatusObject;
  }
}

/** The answer as a Route call gives it. */
export function responseOf(answer: StreamAnswer): RouteResponse {
  const { private_message, group_message, error_code } = answer;
  const response = private_message ?? group_message;
  if (!response) throw new Error('an answer of neither kind');
  return { ...response, code: error_code || undefined };
}

/** A message of one user to another. */
export function message(senderId: string, recipientId: string, content = 'hello'): PrivateRequest {
  return {
    msg_id: unique('msg'),
    sender_id: senderId,
    recipient_id: recipientId,
    content,
    timestamp: Date.now(),
  };
}

export function inPrivate(private_message: PrivateRequest): StreamRequest {
  return { private_message };
}

/** `count` messages of one conversation, alternately from either side. */
export function dialogue(a: string, b: string, count: number): StreamRequest[] {
  return Array.from({ length: count }, (_, i) => inPrivate(i % 2 ? message(b, a) : message(a, b)));
}

export function idOf({ private_message, group_message }: StreamRequest): string | undefined {
  return (private_message ?? group_message)?.msg_id;
}

export function numbersOf(answers: readonly StreamAnswer[]): number[] {
  return answers.map((answer) => responseOf(answer).sequence_number);
}

/** A metric of a server, 0 if it has none of that name. */
export async function metric(system: TestSystem, name: string): Promise<number> {
  const text = await (await system.http('/metrics')).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.split(' ')[1] ?? 0);
}
