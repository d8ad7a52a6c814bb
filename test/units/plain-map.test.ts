/** The map that leaves no chain of tables behind, and that kafkajs really uses them. */
import { PlainMap } from '../../src/activities/plain-map';
import { usePlainRequestTables } from '../../src/activities/kafka/request-tables';

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
