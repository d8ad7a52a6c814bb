/** The generator's and the gateway's own HTTP/2 against grpc-js, from either side. */
import { Client, credentials, Server, ServerCredentials, status } from '@grpc/grpc-js';
import type { sendUnaryData, ServerUnaryCall } from '@grpc/grpc-js';
import { UnaryConnection } from '../../bench/harness/h2/unary-connection';
import { UnaryServer } from '../../bench/harness/h2/unary-server';
import { readFields, varintField } from '../../bench/harness/protobuf';
import { idOf, Kind } from '../../bench/harness/traffic';
import { loadProto, serviceIn } from '../../src/activities/protos';
import { waitFor } from '../support/wait';

const TRAFFIC = {
  method: 'RoutePrivateMessage',
  share: 1,
  sender: 'sender',
  target: 'recipient',
  targets: 7,
  contentBytes: 100,
} as const;
const TIMESTAMP = 1_706_180_400_000;

interface Request {
  msg_id: string;
  sender_id: string;
  recipient_id: string;
  content: string;
  timestamp: number;
  metadata: Record<string, string>;
}

describe('the generator against a grpc-js server', () => {
  const requests: Request[] = [];
  const server = new Server({ 'grpc.max_concurrent_streams': 100 });
  let port = 0;

  beforeAll(async () => {
    server.addService(serviceIn(loadProto('api/v1/im.proto'), 'im.v1.IMService'), {
      RoutePrivateMessage: (
        call: ServerUnaryCall<Request, object>,
        answer: sendUnaryData<object>,
      ) => {
        requests.push(call.request);
        if (requests.length % 10 === 0) answer({ code: status.RESOURCE_EXHAUSTED });
        else answer(null, { success: true, status: 'delivered', sequence_number: requests.length });
      },
    });
    port = await new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
  });

  afterAll(() => server.forceShutdown());

  test('every request arrives whole, more at once than the server takes; each ends, with its answer or without', async () => {
    const count = 2_000;
    const answers: (number | undefined)[] = [];
    const connection = await UnaryConnection.open(port, {
      decode: (bytes, start, end) => {
        let sequence = 0;
        readFields(bytes, start, end, {
          onVarint: (field, value) => (sequence = field === 3 ? value : sequence),
          onBytes: () => undefined,
        });
        return sequence;
      },
      onDone: (tag, at, answer) => {
        expect(at).toBe(tag + 0.5);
        answers[tag] = answer;
      },
      onClosed: (error) => {
        throw error;
      },
    });
    const kind = new Kind(TRAFFIC, 13, 'run-', TIMESTAMP);
    for (let n = 0; n < count; n++) {
      connection.send(kind.template, kind.numbersOf(n), n, n + 0.5);
    }
    connection.flush();
    await waitFor('all calls to end', 20_000, () =>
      Promise.resolve(Object.keys(answers).length === count),
    );
    connection.close();

    expect(answers.filter((answer) => answer === undefined)).toHaveLength(count / 10);
    expect(new Set(answers.filter((answer) => answer !== undefined)).size).toBe(count * 0.9);
    const byId = new Map(requests.map((request) => [request.msg_id, request]));
    expect(byId.size).toBe(count);
    expect(byId.get('run-000001234')).toEqual({
      msg_id: 'run-000001234',
      sender_id: idOf('sender', 1234 % 13),
      recipient_id: idOf('recipient', (1234 % 13) % 7),
      content: expect.stringMatching(/^lorem ipsum .{88}$/) as unknown,
      timestamp: TIMESTAMP,
      metadata: { content_type: 'text/plain' },
    });
  });
});

describe("the benchmarks' gateway against a grpc-js client", () => {
  test('answers each push once, on many streams at once', async () => {
    const seen: string[] = [];
    const server = new UnaryServer({
      answer: Buffer.concat([varintField(1, 1), varintField(2, 1)]),
      answers: () => true,
      onMessage: (bytes, start, end) =>
        readFields(bytes, start, end, {
          onVarint: () => undefined,
          onBytes: (field, from, to) => {
            if (field === 1) seen.push(bytes.toString('latin1', from, to));
          },
        }),
    });
    const client = new Client(`127.0.0.1:${await server.listen()}`, credentials.createInsecure());
    const method = serviceIn(
      loadProto('gateway/gateway.proto'),
      'im_gateway_servicepb.UimUgatewayUserviceService',
    )['PushMessage'];
    if (!method) throw new Error('no PushMessage');
    const push = (n: number): Promise<unknown> =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          method.path,
          method.requestSerialize as (value: object) => Buffer,
          method.responseDeserialize as (bytes: Buffer) => object,
          { msg_id: `msg-${n}`, content: 'x'.repeat(n % 2 ? 10 : 40_000) },
          { deadline: Date.now() + 10_000 },
          (error, response) => (error ? reject(error) : resolve(response)),
        );
      });
    const answers = await Promise.all(Array.from({ length: 300 }, (_, n) => push(n)));
    client.close();
    server.close();
    expect(answers[0]).toMatchObject({ success: true, delivered_count: 1 });
    expect(answers).toHaveLength(300);
    expect(new Set(seen).size).toBe(300);
    expect(seen).toHaveLength(300);
  });
});
