import { rmSync } from 'node:fs';

import { Lane } from '../../dev/tests/lane';
import { unique } from '../support/ids';

const COUNT = 4;

/** As many lanes as can be, with their folders for as long as `during` lasts. */
function withLanes(given: NodeJS.ProcessEnv, during: (lanes: Lane[]) => void): void {
  const lanes = Lane.all(
    COUNT,
    { STACK_INSTANCE: unique('lane').slice(0, 20), ...given },
    () => undefined,
  );
  try {
    during(lanes);
  } finally {
    for (const { layout } of lanes) rmSync(layout.dir, { recursive: true, force: true });
  }
}

describe('the lanes of npm test', () => {
  test('share neither a port nor a folder', () =>
    withLanes({}, (lanes) => {
      const ports = lanes.flatMap(({ environment }) => {
        const text = Object.values(environment).join(' ');
        return [...new Set(text.match(/\b\d{4,5}\b/g))];
      });
      expect(ports.length).toBeGreaterThan(10 * COUNT);
      expect(new Set(ports).size).toBe(ports.length);
      expect(new Set(lanes.map(({ layout }) => layout.dir)).size).toBe(COUNT);
    }));

  test('are told apart by their environments alone, also where the first one’s is inherited', () =>
    withLanes({}, ([first]) =>
      withLanes({ ...first?.environment }, (lanes) => {
        const addresses = lanes.map(({ environment }) => environment['KAFKA_BROKERS']);
        expect(addresses[0]).toBe(first?.environment['KAFKA_BROKERS']);
        expect(new Set(addresses).size).toBe(COUNT);
      }),
    ));

  test('are one where a server is given: of that there is only one', () =>
    withLanes({ REDIS_URL: 'redis://elsewhere:1' }, (lanes) => expect(lanes).toHaveLength(1)));
});
