/** Who was there when a group message was accepted: whoever is in doubt gets a row. */
import { wasThere } from '../../src/routing/group-fanout';

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
  ['not registered', { devices: [], certain: true }, ACCEPTED - 1, false],
  ['never heard of', undefined, undefined, false],
])('%s', (_, answer, arrivedAt, expected) => {
  expect(wasThere(answer, arrivedAt, ACCEPTED)).toBe(expected);
});
