/** Who was there when a group message was accepted: whoever is in doubt gets a row. */
import { presentSince, wasThere } from '../../src/routing/attendance';

const SECOND = 1_700_000_000;
const at = (connectedAt: number, certain = true) => ({
  devices: [{ deviceId: 'phone', gateway: 'g:1', connectedAt }],
  certain,
});
const ACCEPTED = SECOND * 1_000 + 500;

test.each([
  ['connected long before', at(SECOND - 60), undefined, true],
  [
    'connected long before, by a registry that does not answer',
    at(SECOND - 60, false),
    undefined,
    false,
  ],
  ['in the same second, and heard of before', at(SECOND), ACCEPTED - 1, true],
  ['in the same second, and heard of after', at(SECOND), ACCEPTED + 1, false],
  ['in the same second, and nobody heard', at(SECOND), undefined, false],
  ['a little before by a clock that may differ', at(SECOND - 2), undefined, false],
  ['a second later', at(SECOND + 1), ACCEPTED - 1, false],
  [
    'in the same second, and heard of before it, which was another device',
    at(SECOND),
    SECOND * 1_000 - 1,
    false,
  ],
  ['not registered', { devices: [], certain: true }, ACCEPTED - 1, false],
  ['never heard of', undefined, undefined, false],
])('there when it was accepted: %s', (_, answer, arrivedAt, expected) => {
  expect(wasThere(answer, arrivedAt, ACCEPTED)).toBe(expected);
});

const START = SECOND * 1_000;
const LOOKED = { asked: START + 600, answered: START + 700 };

test.each([
  ['connected long before', at(SECOND - 60), undefined, LOOKED, START - 57_000],
  [
    'in this very second, and nobody heard: since the answer',
    at(SECOND),
    undefined,
    LOOKED,
    START + 700,
  ],
  ['in this very second, and heard of', at(SECOND), START + 400, LOOKED, START + 400],
  ['a while before, and another device just now', at(SECOND - 2), START + 400, LOOKED, START + 400],
  [
    'long before, and another device just now',
    at(SECOND - 60),
    START + 400,
    LOOKED,
    START - 57_000,
  ],
  ['heard of, but of a device from before', at(SECOND), START - 100, LOOKED, START + 700],
  [
    'a registry that took long to answer',
    at(SECOND),
    undefined,
    { asked: START, answered: START + 1_500 },
    0,
  ],
  [
    'the same, but heard of before',
    at(SECOND - 1),
    START - 1,
    { asked: START, answered: START + 1_500 },
    START - 1,
  ],
  ['a registry that does not answer', at(SECOND - 60, false), undefined, LOOKED, 0],
  ['not registered', { devices: [], certain: true }, START + 400, LOOKED, 0],
  ['never heard of', undefined, undefined, LOOKED, 0],
])('present since: %s', (_, answer, arrivedAt, looked, expected) => {
  expect(presentSince(answer, arrivedAt, looked)).toBe(expected);
});
