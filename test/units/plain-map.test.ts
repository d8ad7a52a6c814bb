/** The maps that leave no chain of tables behind, and that Node and kafkajs really use them. */
import { once } from 'node:events';
import http2 from 'node:http2';
import type { Http2Server } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { PlainMap, PlainSet } from '../../src/activities/plain-map';
import { usePlainRequestTables } from '../../src/activities/kafka/request-tables';
import { sessionState, withPlainSessionTables } from '../../src/api/session-tables';

describe('PlainMap', () => {
  it('keeps what is set, counts it, and gives it in ascending order', () => {
    const map = new PlainMap<number, { n: number }>();
    for (const n of [30, 1, 200]) map.set(n, { n });
    map.set(1, { n: -1 });
    expect(map.size).toBe(3);
    expect(map.values()).toEqual([{ n: -1 }, { n: 30 }, { n: 200 }]);
    expect([map.get(30), map.get(31), map.has(30), map.has(31)]).toEqual([
      { n: 30 },
      undefined,
      true,
      false,
    ]);
    expect([map.delete(30), map.delete(30), map.size]).toEqual([true, false, 2]);
    map.clear();
    expect([map.size, map.values(), map.has(1)]).toEqual([0, [], false]);
  });

  it('takes names that every object has for keys like any other', () => {
    const map = new PlainMap<string, object>();
    expect([map.get('constructor'), map.has('__proto__')]).toEqual([undefined, false]);
    map.set('__proto__', { n: 1 });
    expect([map.size, map.get('__proto__')]).toEqual([1, { n: 1 }]);
  });

  it('may change while it is gone through', () => {
    const map = new PlainMap<number, { n: number }>();
    for (let n = 0; n < 5; n++) map.set(n, { n });
    const seen: number[] = [];
    map.forEach(({ n }) => {
      seen.push(n);
      map.delete(n);
      map.set(n + 10, { n: n + 10 });
    });
    expect([seen, map.size]).toEqual([[0, 1, 2, 3, 4], 5]);
  });
});

test('PlainSet keeps each entry once, and may change while it is gone through', () => {
  const [a, b] = [{}, {}];
  const set = new PlainSet<object>().add(a).add(b).add(a);
  expect(set.size).toBe(2);
  const seen: object[] = [];
  set.forEach((entry) => {
    seen.push(entry);
    set.delete(entry);
  });
  expect([seen, set.size, set.delete(a)]).toEqual([[a, b], 0, false]);
});

test('kafkajs keeps its requests in a PlainMap', () => {
  usePlainRequestTables();
  // eslint-disable-next-line @typescript-eslint/no-require-imports -- it has no types inside
  const RequestQueue = require('kafkajs/src/network/requestQueue') as new (options: object) => {
    inflight: unknown;
  };
  const [one, another] = [new RequestQueue({}), new RequestQueue({})];
  expect(one.inflight).toBeInstanceOf(PlainMap);
  expect(another.inflight).not.toBe(one.inflight);
});

test('HTTP/2 sessions of servers keep their streams in plain tables, and serve', async () => {
  const create = http2.createServer;
  const server = await withPlainSessionTables(() =>
    Promise.resolve(http2.createServer((_, response) => response.end('hello'))),
  );
  expect(http2.createServer).toBe(create);
  const tables: unknown[] = [];
  server.on('session', (session) => {
    const state = sessionState(session);
    tables.push(state?.streams, state?.pendingStreams);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const answers = Array.from({ length: 300 }, async () => {
    const stream = client.request({ ':path': '/' }).setEncoding('utf8').resume();
    const [headers] = (await once(stream, 'response')) as [{ ':status': number }];
    await once(stream, 'close');
    return headers[':status'];
  });
  expect(new Set(await Promise.all(answers))).toEqual(new Set([200]));
  expect(tables).toEqual([expect.any(PlainMap), expect.any(PlainSet)]);
  expect((tables[0] as PlainMap<number, object>).size).toBe(0);
  client.close();
  await new Promise((resolve) => server.close(resolve));
});

test('and so do those of a grpc-js server', async () => {
  const server = new Server();
  const port = await withPlainSessionTables(
    () =>
      new Promise<number>((resolve, reject) => {
        server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
          if (error) reject(error);
          else resolve(bound);
        });
      }),
  );
  const { http2Servers } = server as unknown as { http2Servers: Map<Http2Server, unknown> };
  const tables: unknown[] = [];
  for (const each of http2Servers.keys()) {
    each.on('session', (session) => tables.push(sessionState(session)?.streams));
  }
  const client = http2.connect(`http://127.0.0.1:${port}`);
  const stream = client.request({ ':path': '/', ':method': 'POST' }).resume();
  stream.end();
  await once(stream, 'close');
  expect(tables).toEqual([expect.any(PlainMap)]);
  client.close();
  server.forceShutdown();
});
