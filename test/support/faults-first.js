/* global module, require */
/** Tests that take servers away are the longest: begun last, one would run on when all lanes are idle. */
const { default: Sequencer } = require('@jest/test-sequencer');

module.exports = class FaultsFirst extends Sequencer {
  sort(tests) {
    const longestFirst = super.sort(tests);
    const isFault = ({ path }) => path.includes('/test/faults/');
    return [...longestFirst.filter(isFault), ...longestFirst.filter((test) => !isFault(test))];
  }
};
