/** The streaming way in, im.v1.IMStreamService: the answers of Route calls, and their order. */
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, makeGenericClientConstructor, status } from '@grpc/grpc-js';
import { people, TestGroup } from '../support/groups';
import { unique } from '../support/ids';
import {
  dialogue,
  idOf,
  inPrivate,
  message,
  metric,
  numbersOf,
  responseOf,
  StreamClient,
} from '../support/stream-client';
import type { StreamAnswer, StreamRequest } from '../support/stream-client';
import { startSystem } from '../support/system';
import type { TestSystem } from '../support/system';
import { waitFor } from '../support/wait';

let system: TestSystem;
let client: StreamClient;
beforeAll(async () => {
  system = await startSystem();
  client = new StreamClient(system.server.grpcPort);
});
afterAll(async () => {
  client.close();
  await system.close();
});

const sorted = (numbers: readonly number[]) => [...numbers].sort((a, b) => a - b);

/** Sends a request as bytes; for what no client of ours would write. */
function raw(path: string, bytes: Buffer): Promise<Buffer> {
  const Raw = makeGenericClientConstructor({}, 'raw');
  const rawClient = new Raw(`127.0.0.1:${system.server.grpcPort}`, credentials.createInsecure());
  const same = (value: Buffer) => value;
  return new Promise<Buffer>((resolve, reject) => {
    const call = rawClient.makeBidiStreamRequest(path, same, same, {
      deadline: Date.now() + 10_000,
    });
    const answers: Buffer[] = [];
    call.on('data', (answer: Buffer) => answers.push(answer));
    call.on('error', reject);
    call.on('end', () => resolve(Buffer.concat(answers)));
    call.write(bytes);
    call.end();
  }).finally(() => rawClient.close());
}

const field = (number: number, bytes: Buffer) =>
  Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);

describe('the answers', () => {
  test('are those of the Route calls: online, offline, group, repeated, conflicting', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    await system.gateway.connect(bob, 'phone');
    const members = people(3);
    const group = await TestGroup.make(system, members);
    const online = message(alice, bob);
    const requests: StreamRequest[] = [
      inPrivate(online),
      inPrivate(message(alice, carol)),
      {
        group_message: {
          msg_id: unique('msg'),
          sender_id: members[0],
          group_id: group.id,
          content: 'all',
        },
      },
      inPrivate(online),
      inPrivate({ ...online, content: 'another' }),
    ];
    const stream = client.open();
    stream.write(requests);
    stream.call.end();
    expect(await stream.ended()).toMatchObject({ code: status.OK });
    expect(stream.answers).toHaveLength(requests.length);
    const byNumber = new Map(stream.answers.map((answer) => [answer.request_number, answer]));
    expect(requests.map((_, i) => byNumber.get(i + 1)?.msg_id)).toEqual(requests.map(idOf));
    const answers = requests.map((_, i) => responseOf(byNumber.get(i + 1) as StreamAnswer));
    expect(answers).toMatchObject([
      { success: true, status: 'delivered', error_message: '', code: undefined },
      { success: true, status: 'offline', error_message: '', code: undefined },
      { success: true, status: 'published', member_count: 3, code: undefined },
      { success: true, status: 'delivered', code: 'DUPLICATE_MESSAGE' },
      { success: false, status: 'failed', code: 'DUPLICATE_MESSAGE', sequence_number: 0 },
    ]);
    expect(answers[3]?.sequence_number).toBe(answers[0]?.sequence_number);

    // The same again by Route calls: nothing tells which way a message came in.
    const again = await system.client.routePrivate(online);
    expect(again).toEqual({ ...answers[3] });
    const groupAgain = await system.client.routeGroup(requests[2]?.group_message ?? {});
    expect(groupAgain).toMatchObject({
      success: true,
      status: 'published',
      member_count: 3,
      sequence_number: answers[2]?.sequence_number,
      code: 'DUPLICATE_MESSAGE',
    });
    expect(system.gateway.pushesOf(bob)).toHaveLength(1);
  });

  test('to bad input are its code, and the stream goes on', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    const stream = client.open();
    stream.write(
      [
        inPrivate({ ...message(alice, bob), msg_id: '' }),
        inPrivate(message(alice, 'unknown_1')),
        inPrivate(message(alice, bob, 'x'.repeat(10_241))),
        inPrivate({ ...message(alice, bob), timestamp: -5 }),
        inPrivate({ ...message(alice, bob), metadata: { __proto__x: 'v'.repeat(9_000) } }),
        {},
        { group_message: { ...message(alice, bob), group_id: unique('nogroup_unknown') } },
        inPrivate(message(alice, bob)),
      ],
      3,
    );
    stream.call.end();
    expect(await stream.ended()).toMatchObject({ code: status.OK });
    const answers = [...stream.answers].sort((a, b) => a.request_number - b.request_number);
    expect(answers.map((answer) => answer.error_code)).toEqual([
      'ROUTING_FAILED',
      'INVALID_RECIPIENT',
      'MESSAGE_TOO_LARGE',
      'ROUTING_FAILED',
      'MESSAGE_TOO_LARGE',
      'ROUTING_FAILED',
      'INVALID_RECIPIENT',
      '',
    ]);
    for (const answer of answers.slice(0, -1)) {
      const { error_message, success } = responseOf(answer);
      expect([success, error_message.split(': ')[0]]).toEqual([false, answer.error_code]);
    }
    expect(responseOf(answers.at(-1) as StreamAnswer).status).toBe('offline');
  });

  test('to a request that cannot be read, or is invalid UTF-8, leave the others alone', async () => {
    const good = (content: Buffer) =>
      field(
        1,
        Buffer.concat(
          [unique('msg'), unique('alice'), unique('bob')]
            .map((text, i) => field(i + 1, Buffer.from(text)))
            .concat(field(4, content)),
        ),
      );
    const answers = await raw(
      '/im.v1.IMStreamService/Route',
      Buffer.concat([
        field(1, Buffer.from([0xff, 0xff, 0xff])),
        field(1, good(Buffer.from([0x68, 0xff, 0x69]))),
        field(1, good(Buffer.from('caf\uFFFD'))),
      ]),
    );
    const text = answers.toString('latin1');
    expect(text).toContain('ROUTING_FAILED: this is no RouteRequest');
    expect(text).toContain('ROUTING_FAILED: a text field is not valid UTF-8');
    expect(text).toContain('offline');
    await expect(
      raw('/im.v1.IMStreamService/Route', Buffer.from([0xff, 0xff, 0xff])),
    ).rejects.toMatchObject({ code: status.INVALID_ARGUMENT });
  });
});

describe('the order of a conversation', () => {
  test('2,000 messages keep theirs, the first ones with an unknown recipient and no block of numbers', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await Promise.all([alice, bob].map((user) => system.gateway.connect(user, 'phone')));
    // Alice is known to exist, Bob has to be looked up: what he writes must not overtake what he is sent.
    await system.send(unique('carol'), alice);
    const requests = dialogue(alice, bob, 2_000);
    const stream = client.open();
    stream.write(requests, 70);
    const answers = await stream.answered(2_000, 60_000);
    expect(answers.map((answer) => answer.msg_id)).toEqual(requests.map(idOf));
    expect(new Set(answers.map((answer) => responseOf(answer).status))).toEqual(
      new Set(['delivered']),
    );
    const numbers = numbersOf(answers);
    expect(new Set(numbers).size).toBe(2_000);
    expect(numbers).toEqual(sorted(numbers));
    const pushed = system.gateway.pushes.filter(({ sender_id }) =>
      [alice, bob].includes(sender_id),
    );
    expect(pushed.map((push) => push.msg_id)).toEqual(requests.map(idOf));
    stream.call.end();
  }, 90_000);

  test('holds in a group, whose senders have to be looked up, and among several conversations', async () => {
    const members = people(4);
    const group = await TestGroup.make(system, members);
    const [alice, bob] = [unique('alice'), unique('bob')];
    const requests = dialogue(alice, bob, 400).flatMap((request, i): StreamRequest[] => {
      const sender = { ...message(members[i % 4] as string, ''), recipient_id: undefined };
      return [request, { group_message: { ...sender, group_id: group.id } }];
    });
    const stream = client.open();
    stream.write(requests, 33);
    const answers = await stream.answered(800, 60_000);
    for (const kind of ['private_message', 'group_message'] as const) {
      const own = answers.filter((answer) => answer[kind]);
      expect(own.map((answer) => answer.msg_id)).toEqual(
        requests.filter((request) => request[kind]).map(idOf),
      );
      expect(numbersOf(own)).toEqual(sorted(numbersOf(own)));
    }
    stream.call.end();
  }, 90_000);

  test('holds behind a message that another attempt has in flight', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    system.gateway.mood = 'silent';
    const first = message(alice, bob);
    const elsewhere = system.client.routePrivate(first);
    const stream = client.open();
    try {
      await waitFor('the other attempt to begin', 5_000, async () => {
        return (await metric(system, 'im_service_in_flight')) === 1;
      });
      stream.write([first, message(alice, bob), message(alice, bob)].map(inPrivate));
    } finally {
      await elsewhere;
      system.gateway.mood = 'well';
    }
    const answers = await stream.answered(3);
    expect(answers.map((answer) => answer.request_number)).toEqual([1, 2, 3]);
    expect(answers[0]?.error_code).toBe('DUPLICATE_MESSAGE');
    expect(numbersOf(answers)).toEqual(sorted(numbersOf(answers)));
    stream.call.end();
  });

  test('is that of the numbers also when it comes in on several streams and by calls', async () => {
    const [alice, bob] = [unique('alice'), unique('bob')];
    await system.gateway.connect(bob, 'phone');
    await system.send(alice, bob);
    const streams = Array.from({ length: 4 }, () => client.open());
    const calls: Promise<unknown>[] = [];
    for (let round = 0; round < 50; round++) {
      for (const stream of streams) {
        stream.write(Array.from({ length: 1 + (round % 3) }, () => inPrivate(message(alice, bob))));
      }
      calls.push(system.send(alice, bob), system.send(alice, bob));
      await sleep(2);
    }
    for (const stream of streams) stream.call.end();
    await Promise.all([...calls, ...streams.map((stream) => stream.ended())]);
    const count = 1 + calls.length + streams.reduce((sum, { answers }) => sum + answers.length, 0);
    const pushes = await system.gateway.received(bob, count);
    const numbers = pushes.map((push) => push.sequence_number);
    expect(numbers).toEqual(sorted(numbers));
  }, 60_000);

  test('does not hold up others: a slow gateway delays only who it serves', async () => {
    const [alice, bob, carol] = [unique('alice'), unique('bob'), unique('carol')];
    await system.gateway.connect(bob, 'phone');
    system.gateway.mood = 'silent';
    const stream = client.open();
    stream.write([inPrivate(message(alice, bob)), inPrivate(message(alice, carol))]);
    const answers = await stream.answered(2);
    system.gateway.mood = 'well';
    expect(answers.map((answer) => answer.request_number)).toEqual([2, 1]);
    stream.call.end();
  });
});

test('the health service and reflection name the service', async () => {
  const services = await raw(
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    field(7, Buffer.alloc(0)),
  );
  expect(services.toString('latin1')).toContain('im.v1.IMStreamService');
  expect(services.toString('latin1')).toContain('im.v1.IMService');
  const file = await raw(
    '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo',
    field(4, Buffer.from('im.v1.IMStreamService')),
  );
  expect(file.toString('latin1')).toContain('RouteRequests');
  const health = await raw(
    '/grpc.health.v1.Health/Check',
    field(1, Buffer.from('im.v1.IMStreamService')),
  );
  expect([...health]).toEqual([8, 1]);
});
